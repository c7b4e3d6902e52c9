/** A descriptor that another thread has passed on, as a socket of this thread. */
import { Socket } from '../../index.js';
import { resetStream } from '../../net/reset-stream.js';

/**
 * @param onFailed called with the error when no socket can be made of it (ENOBUFS; EINVAL after a reset)
 * @returns undefined: onFailed was called, and the descriptor is closed (its peer sees a reset)
 */
export function adoptFd(fd: number, onFailed: (error: unknown) => void): Socket | undefined {
  try {
    return Socket.fromFd(fd, { blocking: true });
  } catch (error) {
    resetStream(fd);
    onFailed(error);
    return undefined;
  }
}
