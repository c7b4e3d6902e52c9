/**
 * Checks of arguments. Each function returns the valid value, or throws. The errors are made in functions of their own: the checks that run
 * per message are then small enough for V8 to inline.
 */
import { types } from 'node:util';
import { invalidType, invalidValue, outOfRange } from './errors.js';

/** A whole number from `min` to `max`. @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function wholeNumber(name: string, value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw notWhole(name, value, min, max);
}

function notWhole(name: string, value: unknown, min: number, max: number): Error {
  if (typeof value !== 'number') return invalidType(name, 'a number', value);
  return outOfRange(name, `a whole number from ${min} to ${max}`, value);
}

/** true or false. @throws ERR_INVALID_ARG_TYPE */
export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'a boolean', value);
  return value;
}

/**
 * A timeout in milliseconds, as the addon takes it. null, undefined and Infinity become -1: no timeout. 0 and negative numbers become 0: it
 * does not wait.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
export function timeoutOf(value: unknown): number {
  if (value === undefined || value === null) return -1;
  if (typeof value !== 'number') throw invalidType('timeout', 'a number of milliseconds or null', value);
  if (Number.isNaN(value)) throw outOfRange('timeout', 'a number of milliseconds or null', value);
  if (value === Infinity) return -1;
  return value > 0 ? value : 0;
}

/**
 * timeoutOf() for the classes of the system calls, which follow the man pages: a negative number means no timeout (poll, epoll_wait), or is
 * refused (select, kevent). `max` is the largest that the call can take.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
export function rawTimeoutOf(value: unknown, negative: 'no timeout' | 'refused', max = Infinity): number {
  if (value === undefined || value === null) return -1;
  if (typeof value !== 'number') throw invalidType('timeout', 'a number of milliseconds or null', value);
  if (Number.isNaN(value) || value > max) throw outOfRange('timeout', `at most ${max} milliseconds`, value);
  if (value < 0) {
    if (negative === 'refused') throw outOfRange('timeout', 'not negative', value);
    return -1;
  }
  return value === Infinity ? -1 : value;
}

/** The given bytes, not a copy; a string as UTF-8. @throws as uint8Array() */
export function bytesOf(name: string, value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  return uint8Array(name, value);
}

/** A Uint8Array (a Buffer is one) that is not detached. @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for a detached one */
export function uint8Array(name: string, value: unknown): Uint8Array {
  if (isUint8Array(value) && lengthOf(value) > 0) return value;
  return emptyUint8Array(name, value);
}

function emptyUint8Array(name: string, value: unknown): Uint8Array {
  if (!isUint8Array(value)) throw invalidType(name, 'a Uint8Array', value);
  if (isDetached(value)) throw invalidValue(`${name} has lost its memory: its ArrayBuffer is detached`);
  return value;
}

/** Looked up once: `types` is so large that each look-up by name costs 80 instructions. */
export const { isUint8Array } = types;

/** The language's own getters of a typed array: an object may have own properties of these names. */
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getterOf = (name: string): unknown =>
  (Object.getOwnPropertyDescriptor(typedArray, name) as { readonly get: unknown }).get;
const lengthGetter = getterOf('length') as (this: Uint8Array) => number;
const offsetGetter = getterOf('byteOffset') as (this: Uint8Array) => number;
const bufferGetter = getterOf('buffer') as (this: Uint8Array) => ArrayBufferLike;

/** The real length in bytes, whatever own property `length` the object has. */
export function lengthOf(bytes: Uint8Array): number {
  return lengthGetter.call(bytes);
}

/** The same memory as a plain Uint8Array: later uses run no code of a subclass or of the object's own properties. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bufferGetter.call(bytes), offsetGetter.call(bytes), lengthOf(bytes));
}

function isDetached(bytes: Uint8Array): boolean {
  try {
    new Uint8Array(bufferGetter.call(bytes));
    return false;
  } catch {
    return true; // the only way before ArrayBuffer.prototype.detached
  }
}

/** Is this the Error.prototype of some realm? Errors that the engine did not make inherit from it too (DOMException, old libraries'). */
function isErrorPrototype(object: object): boolean {
  const own = (name: string): unknown => Object.getOwnPropertyDescriptor(object, name)?.value;
  const maker = own('constructor');
  return own('name') === 'Error' && own('message') === '' && typeof maker === 'function' && maker.name === 'Error';
}

/**
 * Is it an Error, of any realm? Jest and vm run a program in a context with its own Error, which `instanceof` does not know. A plain object
 * with a message is none. A proxy's traps are called; what they throw is thrown.
 */
export function isError(value: unknown): value is Error {
  if (types.isNativeError(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  for (let object: unknown = value; object !== null; object = Object.getPrototypeOf(object))
    if (isErrorPrototype(object as object)) return true;
  return false;
}

/** The thrown value itself if it is an Error (see isError()); else an Error with this message and the thrown value as its cause. */
export function errorOf(thrown: unknown, message: string): Error {
  try {
    if (isError(thrown)) return thrown;
  } catch {
    // A proxy whose trap throws is no Error.
  }
  return new Error(message, { cause: thrown });
}

/** The message of an Error of any realm, or another thrown value as a string. For a terminal. */
export function messageOf(error: unknown): string {
  return isError(error) ? error.message : String(error);
}

/** Is it an AbortSignal: the platform's, or one with the members used here (jsdom, a polyfill)? */
export function isAbortSignal(value: unknown): value is AbortSignal {
  if (value instanceof AbortSignal) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  );
}

/** The given AbortSignal if it is the platform's; else a new one that follows it. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
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
 * Reads fields of an options object once, so that they cannot change between the check and the use.
 * @throws ERR_INVALID_ARG_TYPE if it is no object; ERR_INVALID_ARG_VALUE if a getter or a proxy's trap throws, with that as the cause
 */
export function fieldsOf<K extends string>(name: string, value: unknown, keys: readonly K[]): Record<K, unknown> {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'an object', value);
  return guarded(name, () => {
    const fields = {} as Record<K, unknown>;
    for (const key of keys) fields[key] = (value as Record<K, unknown>)[key];
    return fields;
  });
}

/** A copy of an array or another iterable. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
export function listOf(name: string, value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'an array', value);
  const iterate = guarded(name, () => (value as Partial<Iterable<unknown>>)[Symbol.iterator]);
  if (typeof iterate !== 'function') throw invalidType(name, 'an array', value);
  return guarded(name, () => [...(value as Iterable<unknown>)]);
}

/** Runs code of the caller's objects (getters, traps, iterators). @throws ERR_INVALID_ARG_VALUE, with what that threw as the cause */
export function guarded<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalidValue(`${name} could not be read`, error);
  }
}
