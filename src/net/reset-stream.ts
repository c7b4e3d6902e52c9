import { native } from '../native.js';
import { ownDescriptors } from './stream.js';

/** Closes a descriptor that cannot be served. Its peer gets a reset (SO_LINGER of 0 s) and does not wait for a reply that never comes. */
export function resetStream(fd: number): void {
  native.setLinger(fd, 0); // ignored: where it fails (the peer has reset), close(2) is enough
  const owner = ownDescriptors();
  owner.add(fd);
  owner.close(fd);
}
