/** What tests of proactors share: to wait for operations, and to say what came of them. */
import assert from 'node:assert/strict';
import type { BaseProactor, Operation } from '../../src/index.js';

const PATIENCE = 60_000;

/** wait() until all of these are over. Nothing is returned twice. @returns all that was returned meanwhile */
export function finish(proactor: BaseProactor, ...operations: readonly Operation[]): Operation[] {
  const returned: Operation[] = [];
  const deadline = performance.now() + PATIENCE;
  while (operations.some(({ pending }) => pending)) {
    returned.push(...proactor.wait(100));
    const left = operations.filter(({ pending }) => pending).map(({ kind }) => kind);
    assert.ok(performance.now() < deadline, `not over: ${left.join(', ')}`);
  }
  assert.equal(new Set(returned).size, returned.length, 'one was returned twice');
  return returned;
}

/** What came of it; its error is thrown. */
export function resultOf<T>(proactor: BaseProactor, operation: Operation<T>): T {
  finish(proactor, operation);
  if (operation.error !== undefined) throw operation.error;
  return operation.result as T;
}

/** Fails with this code, and returns the error. */
export function failsWith(code: string, proactor: BaseProactor, operation: Operation): NodeJS.ErrnoException {
  finish(proactor, operation);
  assert.equal(operation.error?.code, code, `${operation.kind}: ${operation.error?.stack ?? 'succeeded'}`);
  assert.equal(operation.result, undefined);
  return operation.error;
}

/** Sends all of it, however often it takes. */
export function sendAll(proactor: BaseProactor, socket: Parameters<BaseProactor['send']>[0], bytes: Uint8Array): void {
  for (let sent = 0; sent < bytes.length;) sent += resultOf(proactor, proactor.send(socket, bytes.subarray(sent)));
}

/** Bytes of which each tells where it stands. */
export function pattern(length: number, start = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (start + i) % 251;
  return bytes;
}
