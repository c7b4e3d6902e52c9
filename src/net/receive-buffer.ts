/**
 * Memory for one receiving system call, before it is known how many bytes come. Small reads share a buffer and are copied out of it, so that
 * a small message does not keep a large buffer alive.
 */
const SHARED_SIZE = 65_536;
let shared: Buffer | undefined;

/** At least `size` bytes. The shared buffer is overwritten by the next call: take the bytes out by receivedPart() before that. */
export function receiveBuffer(size: number): Buffer {
  if (size > SHARED_SIZE) return Buffer.allocUnsafeSlow(size);
  return (shared ??= Buffer.allocUnsafeSlow(SHARED_SIZE));
}

/** The first `count` bytes, for the caller to keep: a copy, unless they fill at least half of a buffer of their own. */
export function receivedPart(buffer: Buffer, count: number): Buffer {
  const part = buffer.subarray(0, count);
  return buffer.buffer === shared?.buffer || 2 * count < buffer.length ? Buffer.from(part) : part;
}
