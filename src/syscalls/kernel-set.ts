/** What epoll and kqueue objects have in common: a descriptor of their own, which is open until it is closed. */
import { check, closedError, systemError, systemErrorName } from '../errors.js';
import type { NativeDescriptor } from '../addon.js';
import { native } from '../native.js';
import { wholeNumber } from '../validate.js';
import { HIGHEST_FD } from './file-object.js';
import { type ReadinessMechanism, mechanismUnavailable } from './probe.js';

/** What a kernel or a sandbox answers that does not have the call, or forbids it. */
export const REFUSALS: readonly string[] = ['ENOSYS', 'EPERM', 'EACCES'];

/** The new set's descriptor; ERR_UNAVAILABLE where the call itself is refused. */
export function openedSet(mechanism: ReadinessMechanism, syscall: string, result: number): number {
  if (result >= 0) return result;
  const error = systemError(result, syscall);
  throw REFUSALS.includes(systemErrorName(result)) ? mechanismUnavailable(mechanism, error) : error;
}

export abstract class KernelSet implements Disposable {
  #fd: number;
  readonly #owner: NativeDescriptor;
  readonly #what: string;

  protected constructor(what: string, fd: number) {
    this.#what = what;
    this.#fd = wholeNumber('fd', fd, 0, HIGHEST_FD);
    this.#owner = new native.Descriptor(fd);
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** The descriptor. @throws ERR_CLOSED */
  fileno(): number {
    this.assertOpen();
    return this.#fd;
  }

  protected assertOpen(): void {
    if (this.#fd < 0) throw closedError(this.#what);
  }

  /** Lets go of the descriptor; the second time nothing happens. Left to the garbage collector, it is closed too. */
  close(): void {
    if (this.#fd < 0) return;
    this.#fd = -1;
    check(this.#owner.close(), 'close');
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
