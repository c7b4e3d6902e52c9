// npm run test:as-xnu [-- vitest's arguments]: runs the tests of sockets and of the emulation on Linux, with a preloaded library that behaves
// like macOS's kernel (test/native/as-xnu.c): no SO_ACCEPTCONN, a send that ignores MSG_DONTWAIT, truncated control messages, no io_uring.
// The exit code is vitest's. Systems other than Linux skip the run.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, cross, requirePrograms, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

const LIMIT_SECONDS = 900;
const SUITES = ['sockets', 'emulated', 'proactors', 'proactor-loop', 'loops', 'handover', 'as-xnu'];

if (process.platform !== 'linux') {
  process.stdout.write('skipped: the library that emulates macOS needs Linux\n');
  process.exit();
}
requirePrograms('The as-xnu run', [['gcc', 'gcc']]);
mkdirSync(cross, { recursive: true });
const library = join(cross, 'as-xnu.so');
build('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, 'test/native/as-xnu.c', '-ldl']);

const args = process.argv.slice(2);
if (!args.some((arg) => !arg.startsWith('-'))) args.push(...SUITES.map((name) => `test/${name}.test.ts`));
process.exit(
  await runLimited(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project=!long', ...args],
    {
      seconds: LIMIT_SECONDS,
      env: { LD_PRELOAD: library, SELECTORS_NATIVE_AS_XNU: '1' },
    },
  ),
);
