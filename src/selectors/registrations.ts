/** What a selector keeps for each registered descriptor, by descriptor: a Map that finds small numbers as fast as an array. */
import { keyNotFound } from '../errors.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import type { ReadyEvent, SelectorKey } from './key.js';

/** One registered descriptor. */
export interface Registration<D, F extends FileObject = FileObject> {
  /** The present key: modify() replaces it. */
  key: SelectorKey<D, F>;
  /** 1 to 2^31 - 1, another for each register(). epoll and kqueue return it with each event: see stale events in watch-set.ts. */
  readonly generation: number;
  /** The pair that the last wait reported. The next wait reports the same object again: a blocking loop then makes no garbage. */
  lastEvent: ReadyEvent<D, F> | undefined;
}

/** Descriptors below this are also kept in an array. The system gives the lowest free number, so larger ones are rare. */
const ARRAY_LIMIT = 1 << 17;

/** Registrations by descriptor, in the order of registration. */
export class Registrations<D, F extends FileObject = FileObject> extends Map<number, Registration<D, F>> {
  /** By descriptor, without holes: V8 keeps it as an array. */
  readonly #array: (Registration<D, F> | undefined)[] = [];

  override get(fd: number): Registration<D, F> | undefined {
    if (fd >= 0 && fd < this.#array.length) return this.#array[fd];
    return fd < ARRAY_LIMIT ? undefined : super.get(fd);
  }

  override has(fd: number): boolean {
    return this.get(fd) !== undefined;
  }

  override set(fd: number, registration: Registration<D, F>): this {
    if (fd < ARRAY_LIMIT) {
      while (this.#array.length < fd) this.#array.push(undefined);
      this.#array[fd] = registration;
    }
    return super.set(fd, registration);
  }

  override delete(fd: number): boolean {
    if (fd < this.#array.length) this.#array[fd] = undefined;
    return super.delete(fd);
  }

  override clear(): void {
    this.#array.length = 0;
    super.clear();
  }

  /**
   * The descriptor of a file object. A closed file object has none: then the descriptor under which this very object is registered.
   * @throws ERR_INVALID_ARG_VALUE, ERR_INVALID_ARG_TYPE as fileno()
   */
  fdOf(fileobj: FileObject): number {
    try {
      return fileno(fileobj);
    } catch (error) {
      for (const [fd, { key }] of this) if (key.fileobj === fileobj) return fd;
      throw error;
    }
  }

  /** The registration of a file object. @throws ERR_KEY_NOT_FOUND; as fdOf() */
  of(fileobj: FileObject): Registration<D, F> {
    const fd = this.fdOf(fileobj);
    const registration = this.get(fd);
    if (registration === undefined) throw keyNotFound(`descriptor ${fd}`);
    return registration;
  }
}
