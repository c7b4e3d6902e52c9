import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The slowest files, slowest first. They start first; a slow file that starts last would run alone at the end. */
const SLOW_FILES = [
  ...['long/fuzz', 'long/package', 'long/torture', 'long/server-lifetime', 'long/fairness', 'long/server-experiments'],
  ...['long/bench-instructions', 'long/trace-strace', 'long/fault-models', 'long/server-failures', 'long/compare'],
  ...['server-lifetime', 'servers', 'server-failures', 'io-uring', 'cli-servers', 'loops', 'cli', 'bad-input'],
  ...['torture', 'compare', 'endings', 'native-bad-input', 'cli-compare', 'reactor', 'server-models', 'workers'],
];

class SlowFilesFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = SLOW_FILES.indexOf(relative('test', moduleId).replace(/\.test\.ts$/, ''));
      return place < 0 ? SLOW_FILES.length : place;
    };
    return Promise.resolve([...files].sort((a, b) => rank(a) - rank(b)));
  }
}

export default defineConfig({
  test: {
    projects: [
      // `npm test`: each behaviour. The files share their process: it loads the package once, which saves a tenth of the time.
      { extends: true, test: { name: 'quick', include: ['test/!(trace-race).test.ts'], isolate: false } },
      // It counts all calls of its process. (An `exclude` here would disable --exclude.)
      { extends: true, test: { name: 'alone', include: ['test/trace-race.test.ts'] } },
      // `npm run test:all` runs these too.
      { extends: true, test: { name: 'long', include: ['test/long/*.test.ts'] } },
    ],
    setupFiles: ['test/support/descriptors-setup.ts'],
    // A guard against a test that hangs, wide enough for a busy machine, Wine and the sanitizers: no test measures by it.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 3,
    sequence: { sequencer: SlowFilesFirst },
    reporters: ['default', './scripts/slowest-files.mjs'],
  },
});
