/** The proactor contract over every mechanism of this machine; files against a model; and the lifetime of two thousand operations. */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { BaseProactor } from '../src/index.js';
import { lacksOfProactor } from './contract/capabilities.js';
import { proactorCases } from './contract/proactor.js';
import { Bench } from './support/bench.js';
import { finish } from './support/completion.js';
import { openDescriptors } from './support/descriptors.js';
import { readAndWriteFiles } from './support/files.js';
import { collectUntil } from './support/gc.js';
import { itLives, seeds } from './support/lifetime-cases.js';
import { proactorRows } from './support/proactors.js';
import { runCases } from './support/run-cases.js';

const lives = 1000;

/** The final contents of the file by seed: the same on every mechanism. */
const files = new Map<number, string>();

for (const { mechanism, create, why } of proactorRows) {
  describe(`${mechanism} on ${process.platform}`, () => {
    if (create === undefined) {
      it.skip(`not run: ${why}`, () => undefined);
      return;
    }
    runCases(proactorCases, lacksOfProactor(mechanism), () => {
      const bench = new Bench();
      return { bench, proactor: () => bench.own(create()) };
    });

    it('has the right mechanism, kind and availability', () => {
      using proactor = create();
      expect(proactor).toBeInstanceOf(BaseProactor);
      expect(proactor.mechanism).toBe(mechanism);
      expect(proactor.isNative).toBe(!mechanism.startsWith('emulated:'));
      expect((proactor.constructor as typeof BaseProactor).isAvailable).toBe(true);
    });

    it.each(seeds)('files: 1000 reads and writes at random positions, up to 32 at once, seed %i', async (seed) => {
      using bench = new Bench();
      using proactor = create();
      const contents = readAndWriteFiles(proactor, bench, seed);
      expect(files.get(seed) ?? contents).toBe(contents);
      files.set(seed, contents);
    });

    itLives(create, mechanism, lives);

    it.skipIf(process.platform !== 'linux')('an unreferenced proactor leaves no descriptor behind', async () => {
      using bench = new Bench();
      const before = openDescriptors().size;
      (() => {
        const proactor = create();
        const [a] = bench.pair();
        finish(proactor, proactor.send(a, 'x'));
      })();
      assert.ok(
        await collectUntil(() => openDescriptors().size <= before + 2),
        'only the two sockets of the pair may stay open',
      );
    });
  });
}
