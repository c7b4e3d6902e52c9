// npm run test:as-xnu [-- vitest's arguments]: the suites of sockets and of the emulation on Linux with the ways of macOS' kernel
// (test/native/as-xnu.c, preloaded): no SO_ACCEPTCONN, a send that ignores MSG_DONTWAIT, control messages that are cut, no io_uring.
// The exit code is vitest's. Elsewhere than on Linux it is skipped.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, cross, needPrograms, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

const LIMIT_SECONDS = 900;
const SUITES = ['sockets', 'emulated', 'proactors', 'proactor-loop', 'loops', 'handover', 'as-xnu'];

if (process.platform !== 'linux') {
  process.stdout.write('skipped: the ways of macOS are shown on Linux\n');
  process.exit();
}
needPrograms('The as-xnu run', [['gcc', 'gcc']]);
mkdirSync(cross, { recursive: true });
const library = join(cross, 'as-xnu.so');
build('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, 'test/native/as-xnu.c', '-ldl']);

const args = process.argv.slice(2);
if (!args.some((arg) => !arg.startsWith('-'))) args.push(...SUITES.map((name) => `test/${name}.test.ts`));
process.exit(
  await runLimited(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project=quick', ...args],
    {
      seconds: LIMIT_SECONDS,
      env: { LD_PRELOAD: library, SELECTORS_NATIVE_AS_XNU: '1' },
    },
  ),
);
