/** Shared helpers of the proactor tests: wait for operations, and check their results. */
import assert from 'node:assert/strict';
import type { BaseProactor, Operation } from '../../src/index.js';

const PATIENCE = 60_000;

/** Calls wait() until all of these have completed, and checks that none is returned twice. @returns all operations that wait() returned */
export function finish(proactor: BaseProactor, ...operations: readonly Operation[]): Operation[] {
  const returned: Operation[] = [];
  const deadline = performance.now() + PATIENCE;
  while (operations.some(({ pending }) => pending)) {
    returned.push(...proactor.wait(100));
    const left = operations.filter(({ pending }) => pending).map(({ kind }) => kind);
    assert.ok(performance.now() < deadline, `not completed: ${left.join(', ')}`);
  }
  assert.equal(new Set(returned).size, returned.length, 'no operation is returned twice');
  return returned;
}

/** Waits for an operation. @returns its result @throws its error */
export function resultOf<T>(proactor: BaseProactor, operation: Operation<T>): T {
  finish(proactor, operation);
  if (operation.error !== undefined) throw operation.error;
  return operation.result as T;
}

/** Waits for an operation that must fail with this code. @returns its error */
export function failsWith(code: string, proactor: BaseProactor, operation: Operation): NodeJS.ErrnoException {
  finish(proactor, operation);
  assert.equal(operation.error?.code, code, `${operation.kind}: ${operation.error?.stack ?? 'succeeded'}`);
  assert.equal(operation.result, undefined);
  return operation.error;
}

/** Sends all bytes, with as many sends as that takes. */
export function sendAll(proactor: BaseProactor, socket: Parameters<BaseProactor['send']>[0], bytes: Uint8Array): void {
  for (let sent = 0; sent < bytes.length;) sent += resultOf(proactor, proactor.send(socket, bytes.subarray(sent)));
}

/** Bytes whose values depend on their position. */
export function pattern(length: number, start = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (start + i) % 251;
  return bytes;
}
