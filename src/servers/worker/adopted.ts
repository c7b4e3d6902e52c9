/** A descriptor that another thread has handed over, as a socket of this thread. */
import { Socket } from '../../index.js';
import { resetStream } from '../../net/reset-stream.js';

/** @returns undefined: the system gives no socket for it (ENOBUFS, EINVAL after a reset); it is closed then, and `onFailed` was called */
export function adopted(fd: number, onFailed: (error: unknown) => void): Socket | undefined {
  try {
    return Socket.fromFd(fd, { blocking: true });
  } catch (error) {
    resetStream(fd);
    onFailed(error);
    return undefined;
  }
}
