/** A thread that waits for descriptors, so that Node's loop does not (native/wait/waiter.cc). */
import { systemError, systemErrorName } from '../errors.js';
import type { NativeWaiter } from '../addon.js';
import { native } from '../native.js';

/** Opens a waiter and starts its thread. @throws EAGAIN: no thread left; EMFILE */
export function openWaiter(): NativeWaiter {
  const waiter = new native.Waiter();
  const opened = waiter.open();
  if (opened < 0) {
    waiter.close();
    throw systemError(opened, systemErrorName(opened) === 'EAGAIN' ? 'pthread_create' : native.wakeSyscall);
  }
  return waiter;
}
