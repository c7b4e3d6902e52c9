/** Posts 000 to 004: whatever a peer sends comes back to it, all of it before the end of the stream. */
import type { Application } from './application.js';

export function echo(): Application {
  return {
    borrowsChunks: true,
    data(peer, chunk) {
      peer.write(chunk);
    },
  };
}
