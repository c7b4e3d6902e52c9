/** io_uring_enter fails at the calls that test/io-uring.test.ts leaves out. */
import { describeDeaf } from '../support/io-uring-cases.js';

describeDeaf(['3', '5', '6', '7', '8']);
