/** Seeded random numbers (splitmix32), and invalid values of every kind. */
'use strict';

/** The value that getters, callbacks and proxies of the fuzzer throw on purpose. It is not an Error. */
const THROWN = Object.freeze({ on: 'purpose' });

class Random {
  #state;

  /** @param seed 0 to 2^32 - 1 */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit) {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) % limit;
  }

  /** True with this probability. */
  chance(probability) {
    return this.below(1_000_000) < probability * 1_000_000;
  }

  /** A random element; undefined if the list is empty. */
  pick(list) {
    return list[this.below(Math.max(1, list.length))];
  }

  /** A buffer that is empty, small, or larger than a socket's buffer. */
  bytes() {
    return Buffer.alloc(this.pick([0, 1, 5, 100, 4096, 70_000, 400_000]), this.below(256));
  }
}

function detached() {
  const buffer = Buffer.from(new ArrayBuffer(64));
  structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
  return buffer;
}

/** Bytes whose memory shrinks in the next turn of Node's loop. */
function shrinking() {
  const memory = new ArrayBuffer(100, { maxByteLength: 100 });
  const bytes = new Uint8Array(memory);
  setImmediate(() => memory.resize(1));
  return bytes;
}

function revoked() {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/**
 * @param reenter makes other random calls: from a getter, a fileno(), a callback
 * @returns a function that returns a random invalid value
 */
function wrongValues(random, reenter) {
  const makers = [
    ...[() => undefined, () => null, () => NaN, () => Infinity, () => -1, () => 1.5, () => 2 ** 31, () => 2 ** 32],
    ...[() => 2 ** 53, () => -(2 ** 31), () => 1_000_000, () => '', () => 'x', () => '\0', () => 5n, () => true],
    ...[() => Symbol('wrong'), () => ({}), () => [], () => [1, 2, 3], () => () => undefined, () => new Date()],
    ...[detached, shrinking, revoked, () => new Uint8Array(0), () => new Uint8Array(new SharedArrayBuffer(8))],
    () => new DataView(new ArrayBuffer(8)),
    () => new Proxy([], { get: () => throwOnPurpose() }),
    () => Object.defineProperty({}, 'fd', { get: throwOnPurpose }),
    () => ({ fileno: throwOnPurpose }),
    () => ({ fileno: () => (reenter(), random.below(2) - 1) }),
    () => ({ get timeout() { reenter(); return 1; } }), // prettier-ignore
    () => Object.defineProperty({ port: 0 }, 'host', { get: throwOnPurpose }),
    () => ({ then: () => throwOnPurpose() }),
    () => Object.create(null),
  ];
  function throwOnPurpose() {
    reenter();
    throw THROWN;
  }
  return () => random.pick(makers)();
}

module.exports = { Random, THROWN, wrongValues };
