/** What epoll, kqueue and /dev/poll objects have in common: a descriptor of the kernel's set, which they own. */
import { check, closedError, systemError, systemErrorName } from '../errors.js';
import type { NativeDescriptor } from '../addon.js';
import { native } from '../native.js';
import { wholeNumber } from '../validate.js';
import { MAX_FD } from './file-object.js';
import { type ReadinessMechanism, mechanismUnavailable } from './probe.js';

/** Errors of a kernel that does not have the call or the device, and of a sandbox that forbids it. */
export const REFUSALS: readonly string[] = ['ENOSYS', 'EPERM', 'EACCES', 'ENOENT', 'ENXIO'];

/** @returns the new set's descriptor. @throws ERR_UNAVAILABLE if the call is refused; its other errors */
export function openedSet(mechanism: ReadinessMechanism, syscall: string, result: number): number {
  if (result >= 0) return result;
  const error = systemError(result, syscall);
  throw REFUSALS.includes(systemErrorName(result)) ? mechanismUnavailable(mechanism, error) : error;
}

/** A set of descriptors that the kernel keeps. */
export abstract class KernelSet implements Disposable {
  #fd: number;
  readonly #owner: NativeDescriptor;
  readonly #what: string;

  protected constructor(what: string, fd: number) {
    this.#what = what;
    this.#fd = wholeNumber('fd', fd, 0, MAX_FD);
    this.#owner = new native.Descriptor(fd);
  }

  /** The set's own descriptor; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Was close() called? */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /** The set's own descriptor. @throws ERR_CLOSED */
  fileno(): number {
    this.assertOpen();
    return this.#fd;
  }

  protected assertOpen(): void {
    if (this.#fd < 0) throw closedError(this.#what);
  }

  /** Closes the descriptor; a second call does nothing. The garbage collector closes an object that is not closed. */
  close(): void {
    if (this.#fd < 0) return;
    this.#fd = -1;
    check(this.#owner.close(), 'close');
  }

  /** close() */
  [Symbol.dispose](): void {
    this.close();
  }
}
