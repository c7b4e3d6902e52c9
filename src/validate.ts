/**
 * What callers give is looked at here, before anything is done with it. Each function returns the value it found good, or throws. What is
 * found bad is told elsewhere, so that those which look at each message are small enough to become a part of who calls them (V8's inlining).
 */
import { types } from 'node:util';
import { invalidType, invalidValue, outOfRange } from './errors.js';

/** A whole number from `least` to `most`. */
export function wholeNumber(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw notWhole(name, value, least, most);
}

function notWhole(name: string, value: unknown, least: number, most: number): Error {
  if (typeof value !== 'number') return invalidType(name, 'a number', value);
  return outOfRange(name, `a whole number from ${least} to ${most}`, value);
}

export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'a boolean', value);
  return value;
}

/**
 * A timeout in milliseconds, as the addon takes it: -1 waits for ever (given null, undefined or Infinity), 0 does not wait (0 and
 * all below it).
 */
export function timeoutOf(value: unknown): number {
  if (value === undefined || value === null) return -1;
  if (typeof value !== 'number') throw invalidType('timeout', 'a number of milliseconds or null', value);
  if (Number.isNaN(value)) throw outOfRange('timeout', 'a number of milliseconds or null', value);
  if (value === Infinity) return -1;
  return value > 0 ? value : 0;
}

/**
 * The same for the system calls' own faces, which keep to their man pages: there, negative numbers wait for ever (poll, epoll_wait) or
 * are refused (select, kevent), and `most` is the most the call can say.
 */
export function rawTimeoutOf(value: unknown, negative: 'for ever' | 'refused', most = Infinity): number {
  if (value === undefined || value === null) return -1;
  if (typeof value !== 'number') throw invalidType('timeout', 'a number of milliseconds or null', value);
  if (Number.isNaN(value) || value > most) throw outOfRange('timeout', `at most ${most} milliseconds`, value);
  if (value < 0) {
    if (negative === 'refused') throw outOfRange('timeout', 'not negative', value);
    return -1;
  }
  return value === Infinity ? -1 : value;
}

/** The bytes themselves, not a copy. A string is encoded as UTF-8. */
export function bytesOf(name: string, value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  return uint8Array(name, value);
}

/** A Uint8Array (a Buffer is one) over memory that is there: one whose buffer was transferred away is refused. */
export function uint8Array(name: string, value: unknown): Uint8Array {
  if (isUint8Array(value) && lengthOf(value) > 0) return value;
  return emptyUint8Array(name, value);
}

function emptyUint8Array(name: string, value: unknown): Uint8Array {
  if (!isUint8Array(value)) throw invalidType(name, 'a Uint8Array', value);
  if (isDetached(value)) throw invalidValue(`${name} has lost its memory: its ArrayBuffer is detached`);
  return value;
}

/** Taken out of `types` once: an object that large is looked up in by name, at 80 instructions each time. */
export const { isUint8Array } = types;

/** What the language itself says of a typed array, whatever properties of these names the caller has put upon it. */
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getterOf = (name: string): unknown =>
  (Object.getOwnPropertyDescriptor(typedArray, name) as { readonly get: unknown }).get;
const lengthGetter = getterOf('length') as (this: Uint8Array) => number;
const offsetGetter = getterOf('byteOffset') as (this: Uint8Array) => number;
const bufferGetter = getterOf('buffer') as (this: Uint8Array) => ArrayBufferLike;

/** How many bytes there really are. */
export function lengthOf(bytes: Uint8Array): number {
  return lengthGetter.call(bytes);
}

/** The same memory as a plain Uint8Array: nothing of a subclass, or of what the caller has put upon it, runs when it is used later. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bufferGetter.call(bytes), offsetGetter.call(bytes), lengthOf(bytes));
}

function isDetached(bytes: Uint8Array): boolean {
  try {
    new Uint8Array(bufferGetter.call(bytes));
    return false;
  } catch {
    return true; // the one way to ask before ArrayBuffer.prototype.detached
  }
}

/** A realm's own Error.prototype: of it are also errors that are not made by the engine (DOMException, an old library's). */
function isErrorPrototype(object: object): boolean {
  const own = (name: string): unknown => Object.getOwnPropertyDescriptor(object, name)?.value;
  const maker = own('constructor');
  return own('name') === 'Error' && own('message') === '' && typeof maker === 'function' && maker.name === 'Error';
}

/**
 * An Error, also one of another realm: Jest and vm run a program in a context that has an Error of its own, which `instanceof` does not know.
 * A plain object with a message is none. Proxies' traps are called, and what they throw is thrown.
 */
export function isError(value: unknown): value is Error {
  if (types.isNativeError(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  for (let object: unknown = value; object !== null; object = Object.getPrototypeOf(object))
    if (isErrorPrototype(object as object)) return true;
  return false;
}

/** What was thrown, where it is an Error (see isError); else an Error with this message, and what was thrown as its cause. */
export function errorOf(thrown: unknown, message: string): Error {
  try {
    if (isError(thrown)) return thrown;
  } catch {
    // A proxy whose trap throws: it is no Error.
  }
  return new Error(message, { cause: thrown });
}

/** The message of an Error of any realm, or what else was thrown as a string. For a terminal. */
export function messageOf(error: unknown): string {
  return isError(error) ? error.message : String(error);
}

/** An AbortSignal: the platform's, or another's (jsdom, a polyfill), known by what is used of it. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  if (value instanceof AbortSignal) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  );
}

/** The platform's own AbortSignal: the one that was given, or one that follows a signal of another kind (see isAbortSignal). */
export function abortSignal(name: string, value: unknown): AbortSignal {
  const signal = guarded(name, () => {
    if (!isAbortSignal(value)) return undefined;
    const isPlatforms: boolean = value instanceof AbortSignal;
    if (isPlatforms) return value;
    const following = new AbortController();
    if (value.aborted) following.abort(value.reason);
    else value.addEventListener('abort', () => following.abort(value.reason), { once: true });
    return following.signal;
  });
  if (signal === undefined) throw invalidType(name, 'an AbortSignal', value);
  return signal;
}

/**
 * Reads named fields of an options object once, so that they cannot change between the check and the use. A getter or a proxy's trap
 * that throws is the caller's mistake: ERR_INVALID_ARG_VALUE, with what it threw as the cause.
 */
export function fieldsOf<K extends string>(name: string, value: unknown, keys: readonly K[]): Record<K, unknown> {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'an object', value);
  return guarded(name, () => {
    const fields = {} as Record<K, unknown>;
    for (const key of keys) fields[key] = (value as Record<K, unknown>)[key];
    return fields;
  });
}

/** A copy of an array or another iterable. */
export function listOf(name: string, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'an array', value);
  const iterate = guarded(name, () => (value as Partial<Iterable<unknown>>)[Symbol.iterator]);
  if (typeof iterate !== 'function') throw invalidType(name, 'an array', value);
  return guarded(name, () => [...(value as Iterable<unknown>)]);
}

/** Runs code of the caller's objects (getters, traps, iterators); what it throws becomes a typed error. */
export function guarded<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalidValue(`${name} could not be read`, error);
  }
}
