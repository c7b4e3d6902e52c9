/** Shared assertions, over node:assert, so that no test runner is needed. */
import assert from 'node:assert/strict';
import type { BaseSelector, ReadyEvent } from '../../src/index.js';

/** Checks that the call throws an Error with this code. */
export function throwsCode(code: string, call: () => unknown): void {
  assert.throws(call, (error: unknown) => {
    assert.ok(error instanceof Error);
    assert.equal((error as NodeJS.ErrnoException).code, code, error.stack);
    return true;
  });
}

export async function rejectsCode(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof Error);
    assert.equal((error as NodeJS.ErrnoException).code, code, error.stack);
    return true;
  });
}

/** Ready events as { data: events }, for comparison; the data of keys must differ. */
export function byData(ready: readonly ReadyEvent[]): Record<string, number> {
  return Object.fromEntries(ready.map(([key, events]) => [String(key.data), events]));
}

/** Calls select() until it returns the expected events: network events take time. */
export function untilReady(selector: BaseSelector, expected: Record<string, number>): void {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const seen = byData(selector.select(50));
    try {
      assert.deepEqual(seen, expected);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

export interface Timed<T> {
  readonly value: T;
  readonly ms: number;
}

export function timed<T>(call: () => T): Timed<T> {
  const start = performance.now();
  const value = call();
  return { value, ms: performance.now() - start };
}

/** Checks that a wait was not early, and at most as late as a busy machine explains. */
export function assertWaited(ms: number, atLeast: number): void {
  assert.ok(ms >= atLeast, `waited ${ms} ms, less than ${atLeast}`);
  assert.ok(ms < atLeast + 20_000, `waited ${ms} ms instead of ${atLeast}`);
}
