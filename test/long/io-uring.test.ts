/** io_uring_enter fails at the calls that test/io-uring.test.ts omits. */
import { describeDeaf } from '../support/io-uring-cases.js';

describeDeaf(['3', '5', '6', '7', '8']);
