/** Many concurrent reads and writes at random positions of a real file, checked against a model in memory. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BaseProactor, Operation } from '../../src/index.js';
import type { Bench } from './bench.js';
import { Random } from './random.js';

const OPERATIONS = 1000;
const MAX_CONCURRENT = 32;
const FILE_SIZE = 1 << 20;
const MAX_BYTES = 20_000;

interface UnderWay {
  readonly start: number;
  readonly end: number;
  /** The bytes of a write; undefined for a read. */
  readonly bytes: Buffer | undefined;
}

/**
 * Pending ranges do not overlap: their order of completion makes no difference.
 * @returns a hash of the final contents
 */
export function readAndWriteFiles(proactor: BaseProactor, bench: Bench, seed: number): string {
  const random = new Random(seed);
  const path = join(bench.folder(), 'random');
  const model = Buffer.alloc(FILE_SIZE, 'model');
  writeFileSync(path, model);
  const fd = openSync(path, 'r+');
  bench.atEnd(() => {
    closeSync(fd);
  });
  const underWay = new Set<UnderWay>();
  const collect = (): void => {
    const returned = proactor.wait(10_000) as Operation<Buffer | number, UnderWay>[];
    assert.ok(returned.length > 0, 'wait() returns completed operations');
    for (const operation of returned) settle(operation, model, underWay);
  };
  for (let submitted = 0; submitted < OPERATIONS; submitted++) {
    const start = random.below(FILE_SIZE);
    const end = Math.min(FILE_SIZE, start + random.of([0, 1, 511, 4096, MAX_BYTES]));
    const bytes = random.chance(0.5) ? bytesOf(random, end - start) : undefined;
    const range = { start, end, bytes };
    // As often as the mechanism needs: the random choices must not depend on it.
    while (underWay.size === MAX_CONCURRENT || overlaps(underWay, start, end)) collect();
    underWay.add(range);
    if (bytes === undefined) proactor.read(fd, end - start, start, range);
    else proactor.write(fd, bytes, start, range);
    if (random.chance(0.1)) collect();
  }
  while (underWay.size > 0) collect();
  const contents = readFileSync(path);
  assert.ok(contents.equals(model), 'the file equals the model');
  return createHash('sha256').update(contents).digest('hex');
}

function overlaps(underWay: ReadonlySet<UnderWay>, start: number, end: number): boolean {
  return [...underWay].some((one) => start < one.end && one.start < end);
}

function bytesOf(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = random.below(256);
  return bytes;
}

function settle(operation: Operation<Buffer | number, UnderWay>, model: Buffer, underWay: Set<UnderWay>): void {
  const { start, end, bytes } = operation.data;
  assert.equal(operation.error, undefined);
  assert.ok(underWay.delete(operation.data), 'each operation is returned once');
  if (bytes !== undefined) {
    assert.equal(operation.result, bytes.length);
    bytes.copy(model, start);
  } else {
    assert.ok((operation.result as Buffer).equals(model.subarray(start, end)), `read ${start} to ${end}`);
  }
}
