/** io_uring_enter fails at the calls that test/io-uring.test.ts omits. */
import {
  describeDeaf,
  describeInterruptedLoop,
  describeUnresponsive,
  itClosesUnresponsive,
} from '../support/io-uring-cases.js';

describeInterruptedLoop([
  ['U33 EINTR', 'EINTR', '3+3'],
  ['U4 EAGAIN', 'EAGAIN', '3+2'],
  ['U4 EAGAIN', 'EAGAIN', '4+3'],
  ['U4 ENOMEM', 'ENOMEM', '3+2'],
  ['U4 ENOMEM', 'ENOMEM', '4..12'],
  ['U4 EBUSY', 'EBUSY', '4+3'],
]);
describeDeaf(['2', '3', '4', '5', '6', '7', '8', '3..12']);
describeUnresponsive([
  ['has no memory', 'error=EAGAIN'],
  ['says EBUSY', 'error=EBUSY'],
]);
itClosesUnresponsive();
