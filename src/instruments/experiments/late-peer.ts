/** A thread that uses a socket of another thread after a while, for a thread that blocks meanwhile. Its workerData: LatePeer. */
import { isMainThread, workerData } from 'node:worker_threads';
import { Socket } from '../../index.js';

export interface LatePeer {
  /** The descriptor; its owner keeps it open. */
  readonly fd: number;
  /** Milliseconds before the action. */
  readonly delay: number;
  /** Sends these bytes; null: finishes sending. */
  readonly text: string | null;
}

if (!isMainThread) {
  const { fd, delay, text } = workerData as LatePeer;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, delay);
  const socket = Socket.fromFd(fd, { blocking: false });
  if (text === null) socket.shutdown('write');
  else socket.send(text);
  socket.detach();
}
