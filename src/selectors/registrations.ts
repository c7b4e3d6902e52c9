/** What is kept for each descriptor that is registered: a Map, in which those of small numbers are found as in an array. */
import type { FileObject } from '../syscalls/file-object.js';
import type { ReadyEvent, SelectorKey } from './key.js';

export interface Registration<D, F extends FileObject = FileObject> {
  key: SelectorKey<D, F>;
  /** Another number for each register. Where the kernel gives it back with an event, it tells a descriptor's former file from this one. */
  readonly generation: number;
  /** What select() has said of it last, to be said again: in a loop that blocks, each new object is one more to be freed. */
  lastEvent: ReadyEvent<D, F> | undefined;
}

/** Of larger numbers there are few, if any: the system gives the lowest that is free. */
const SMALL = 1 << 17;

export class Registrations<D, F extends FileObject = FileObject> extends Map<number, Registration<D, F>> {
  /** By descriptor. Without gaps, so that it stays an array inside. */
  readonly #small: (Registration<D, F> | undefined)[] = [];

  override get(fd: number): Registration<D, F> | undefined {
    if (fd >= 0 && fd < this.#small.length) return this.#small[fd];
    return fd < SMALL ? undefined : super.get(fd);
  }

  override has(fd: number): boolean {
    return this.get(fd) !== undefined;
  }

  override set(fd: number, registration: Registration<D, F>): this {
    if (fd < SMALL) {
      while (this.#small.length < fd) this.#small.push(undefined);
      this.#small[fd] = registration;
    }
    return super.set(fd, registration);
  }

  override delete(fd: number): boolean {
    if (fd < this.#small.length) this.#small[fd] = undefined;
    return super.delete(fd);
  }

  override clear(): void {
    this.#small.length = 0;
    super.clear();
  }
}
