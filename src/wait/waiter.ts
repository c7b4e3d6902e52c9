/** The thread in which a wait beside Node's loop happens (native/wait/waiter.cc). */
import { systemError, systemErrorName } from '../errors.js';
import type { NativeWaiter } from '../addon.js';
import { native } from '../native.js';

/** Opens a waiter, with its thread. @throws EAGAIN, EMFILE */
export function openWaiter(): NativeWaiter {
  const waiter = new native.Waiter();
  const opened = waiter.open();
  if (opened < 0) {
    waiter.close();
    throw systemError(opened, systemErrorName(opened) === 'EAGAIN' ? 'pthread_create' : native.wakeSyscall);
  }
  return waiter;
}
