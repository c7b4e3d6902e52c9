// npm run test:tsan [-- vitest's arguments]: runs the tests in which threads share memory, with ThreadSanitizer in the addon. Fails if a test
// fails, if a report concerns this package, or if the planted race (test/native/planted-race.cc) is not found. --prepare: only builds.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fail } from './cross.mjs';
import {
  createReports,
  exitWithReports,
  findPlanted,
  framesBelowNode,
  runSanitized,
  sanitizedBuild,
  vitest,
} from './sanitizers.mjs';

const LIMIT_SECONDS = 1200;
/** The tests in which threads wake each other, signal, trace, share memory, exit and are terminated. */
const TESTS = [
  ...['connection-queue', 'shared-file', 'scoreboard', 'trace-threads', 'trace-race', 'wake-race'],
  ...['workers', 'signals', 'handover'],
];

const addon = sanitizedBuild('tsan', 'The run under ThreadSanitizer', 'thread');
if (process.argv.includes('--prepare')) process.exit();

// No address randomization: a random address may overlap the shadow memory of GCC 12's ThreadSanitizer ("unexpected memory mapping").
const WITHOUT_ASLR = ['setarch', '-R'];
const probe = spawnSync('setarch', ['-R', 'true']);
if (probe.status !== 0) fail(`setarch -R failed: ${probe.error?.message ?? String(probe.stderr)}`);

const run = (reports, args) =>
  runSanitized(WITHOUT_ASLR, [process.execPath, ...args], {
    addon,
    runtimes: ['libtsan.so'],
    seconds: LIMIT_SECONDS,
    options: {
      // exitcode=0: reports are filtered below and must not change a child process's exit code.
      TSAN_OPTIONS: `exitcode=0:report_signal_unsafe=0:history_size=4:suppressions=${reports.suppressions}:log_path=${join(reports.folder, 'tsan')}`,
    },
  });
// vitest's bundler is not instrumented: ThreadSanitizer does not see its synchronization.
const SUPPRESSED = ['called_from_lib:rolldown-binding', 'race:rolldown-binding'];

const isOurs = (section) =>
  framesBelowNode(section).some((line) => /selectors_native\.node|planted_race\.node/.test(line));
/**
 * A race on a reused descriptor number. ThreadSanitizer sees neither libuv's close nor io_uring_setup(2)'s open, so it takes two files for
 * one.
 */
const isDescriptorReuse = (report) => {
  const location = report.split('\n\n').find((part) => /^ *Location is file descriptor \d+ created/m.test(part));
  return location !== undefined && !isOurs(location);
};
const isRelease = (section) => /#0 (free|operator delete|munmap|close)/.test(section);

/**
 * Node.js is not instrumented: ThreadSanitizer does not see its synchronization (V8's atomic instructions, Atomics.wait()). So a report
 * concerns this package if both accesses are its own, or if one is and the other frees the memory or closes the descriptor.
 */
function concernsUs(report) {
  if (isDescriptorReuse(report)) return false;
  const accesses = report.split('\n\n').filter((part) => /^ *(Previous )?(atomic )?(read|write) of size/im.test(part));
  const own = accesses.filter(isOurs);
  if (accesses.length < 2) return isOurs(report); // a lock-order inversion, or the destruction of a locked mutex
  return own.length === accesses.length || (own.length > 0 && accesses.some(isRelease));
}

const filter = (text) =>
  text
    .split('==================\n')
    .filter((report) => report.includes('WARNING: ThreadSanitizer') && concernsUs(report))
    .join('\n');

await findPlanted('planted-race', { suppressed: SUPPRESSED, run, filter, addon, expected: 'data race' });

const args = process.argv.slice(2);
if (args.every((arg) => arg.startsWith('-'))) args.push(...TESTS.map((name) => `test/${name}.test.ts`));
const reports = createReports(SUPPRESSED);
const code = await run(reports, [vitest, 'run', '--project=!long', '--pool=threads', '--no-file-parallelism', ...args]);
exitWithReports(reports, { filter, addon, code, name: 'ThreadSanitizer' });
