import { native } from '../native.js';
import { ownDescriptors } from './stream.js';

/** Closes a descriptor of which no socket can be made: its peer sees a reset (SO_LINGER of 0 s), and not an answer that never comes. */
export function resetStream(fd: number): void {
  native.setLinger(fd, 0); // an error of it (it has reset itself) is no reason to keep it
  const owner = ownDescriptors();
  owner.add(fd);
  owner.close(fd);
}
