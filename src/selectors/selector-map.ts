import { invalidType } from '../errors.js';
import type { FileObject } from '../syscalls/file-object.js';
import type { SelectorKey } from './key.js';
import type { Registrations } from './registrations.js';

/** A selector's registrations as a ReadonlyMap from descriptor to key, live. Python's _SelectorMapping. */
export class SelectorMap<D, F extends FileObject> implements ReadonlyMap<FileObject, SelectorKey<D, F>> {
  readonly #registrations: Registrations<D, F>;

  constructor(registrations: Registrations<D, F>) {
    this.#registrations = registrations;
  }

  get size(): number {
    return this.#registrations.size;
  }

  /** @param missing returned for a file object that is not registered. Default: undefined */
  get(fileobj: FileObject): SelectorKey<D, F> | undefined;
  get<M>(fileobj: FileObject, missing: M): SelectorKey<D, F> | M;
  get(fileobj: FileObject, missing?: unknown): unknown {
    return this.#registrations.get(this.#registrations.fdOf(fileobj))?.key ?? missing;
  }

  has(fileobj: FileObject): boolean {
    return this.#registrations.has(this.#registrations.fdOf(fileobj));
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
