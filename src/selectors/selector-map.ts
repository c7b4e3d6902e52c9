import { invalidType } from '../errors.js';
import type { FileObject } from '../syscalls/file-object.js';
import type { SelectorKey } from './key.js';
import type { Registration } from './registrations.js';

/** Python's _SelectorMapping: the registrations themselves, seen as a ReadonlyMap whose keys are descriptors. */
export class SelectorMap<D, F extends FileObject> implements ReadonlyMap<FileObject, SelectorKey<D, F>> {
  readonly #registrations: ReadonlyMap<number, Registration<D, F>>;
  readonly #find: (fileobj: FileObject) => number;

  constructor(registrations: ReadonlyMap<number, Registration<D, F>>, find: (fileobj: FileObject) => number) {
    this.#registrations = registrations;
    this.#find = find;
  }

  get size(): number {
    return this.#registrations.size;
  }

  /** @param missing what to answer for a file object that is not registered; undefined where nothing is said */
  get(fileobj: FileObject): SelectorKey<D, F> | undefined;
  get<M>(fileobj: FileObject, missing: M): SelectorKey<D, F> | M;
  get(fileobj: FileObject, missing?: unknown): unknown {
    return this.#registrations.get(this.#find(fileobj))?.key ?? missing;
  }

  has(fileobj: FileObject): boolean {
    return this.#registrations.has(this.#find(fileobj));
  }

  keys(): MapIterator<number> {
    return this.#registrations.keys();
  }

  *values(): MapIterator<SelectorKey<D, F>> {
    for (const { key } of this.#registrations.values()) yield key;
  }

  *entries(): MapIterator<[number, SelectorKey<D, F>]> {
    for (const [fd, { key }] of this.#registrations) yield [fd, key];
  }

  [Symbol.iterator](): MapIterator<[number, SelectorKey<D, F>]> {
    return this.entries();
  }

  forEach(
    callback: (key: SelectorKey<D, F>, fd: FileObject, map: ReadonlyMap<FileObject, SelectorKey<D, F>>) => void,
    thisArg?: unknown,
  ): void {
    if (typeof callback !== 'function') throw invalidType('callback', 'a function', callback);
    for (const [fd, key] of this) Reflect.apply(callback, thisArg, [key, fd, this]);
  }
}
