// npm run test:tsan [-- vitest's arguments]: what several threads do to the addon's memory, over an addon with ThreadSanitizer. Fails with
// vitest, with any report that concerns this package, and where a race that is planted (test/native/planted-race.cc) is not found.
// --prepare builds, and runs nothing.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from './cross.mjs';
import { endWithReports, newReports, runSanitized, sanitizedBuild, vitest } from './sanitizers.mjs';

const LIMIT_SECONDS = 1200;
/** Threads that wake, signal, trace, share memory, end and are terminated. */
const TESTS = [
  ...['connection-queue', 'shared-file', 'scoreboard', 'trace-threads', 'trace-race', 'wake-race'],
  ...['workers', 'signals', 'handover'],
];

const addon = sanitizedBuild('tsan', 'The run under ThreadSanitizer', 'thread');
if (process.argv.includes('--prepare')) process.exit();

// Addresses at random may be where ThreadSanitizer of GCC 12 has its shadow memory ("unexpected memory mapping").
const WITHOUT_RANDOM_ADDRESSES = ['setarch', '-R'];
const probe = spawnSync('setarch', ['-R', 'true']);
if (probe.status !== 0) fail(`setarch -R is not allowed here: ${probe.error?.message ?? String(probe.stderr)}`);

const run = (reports, args) =>
  runSanitized(WITHOUT_RANDOM_ADDRESSES, [process.execPath, ...args], {
    addon,
    runtimes: ['libtsan.so'],
    seconds: LIMIT_SECONDS,
    options: {
      // A report is judged below, and does not change how a test's child process ends.
      TSAN_OPTIONS: `exitcode=0:report_signal_unsafe=0:history_size=4:suppressions=${reports.suppressions}:log_path=${join(reports.folder, 'tsan')}`,
    },
  });
// vitest's bundler synchronizes its threads by instructions that ThreadSanitizer does not see.
const SUPPRESSED = ['called_from_lib:rolldown-binding', 'race:rolldown-binding'];

/** The frames of an access, from the one that made it up to Node: its own functions, of this package or of the C library for it. */
function ownFrames(section) {
  const frames = section.split('\n').filter((line) => /^ +#\d+ /.test(line));
  const end = frames.findIndex((line) => /\(\S*node\+0x/.test(line) && !/\.node\+0x/.test(line));
  return end < 0 ? frames : frames.slice(0, end);
}

const isOurs = (section) => ownFrames(section).some((line) => /selectors_native\.node|planted_race\.node/.test(line));
/**
 * A descriptor whose number was Node's before: libuv closes, and io_uring_setup(2) opens, by calls that ThreadSanitizer does not see, so that
 * it takes the two files for one.
 */
const isReusedNumber = (report) => {
  const location = report.split('\n\n').find((part) => /^ *Location is file descriptor \d+ created/m.test(part));
  return location !== undefined && !isOurs(location);
};
const frees = (section) => /#0 (free|operator delete|munmap|close)/.test(section);

/**
 * Node itself is not instrumented, and what it and JavaScript synchronize by (V8's atomic instructions, Atomics.wait()) is not seen. So a report
 * concerns this package where both accesses are its own, or one is and the other takes the memory or the descriptor away.
 */
function concernsUs(report) {
  if (isReusedNumber(report)) return false;
  const accesses = report.split('\n\n').filter((part) => /^ *(Previous )?(atomic )?(read|write) of size/im.test(part));
  const own = accesses.filter(isOurs);
  if (accesses.length < 2) return isOurs(report); // a lock-order inversion, a mutex that is destroyed while it is held
  return own.length === accesses.length || (own.length > 0 && accesses.some(frees));
}

const judge = (text) =>
  text
    .split('==================\n')
    .filter((report) => report.includes('WARNING: ThreadSanitizer') && concernsUs(report))
    .join('\n');

const planted = newReports(SUPPRESSED);
await run(planted, ['-e', `require(${JSON.stringify(join(addon, 'planted_race.node'))})`]);
const plantedReports = readdirSync(planted.folder).map((file) =>
  judge(readFileSync(join(planted.folder, file), 'utf8')),
);
if (!plantedReports.some((text) => text.includes('data race')))
  fail('ThreadSanitizer does not find the race of test/native/planted-race.cc: nothing else would be found either');
process.stdout.write('ThreadSanitizer finds the planted race\n');

const args = process.argv.slice(2);
if (args.every((arg) => arg.startsWith('-'))) args.push(...TESTS.map((name) => `test/${name}.test.ts`));
const reports = newReports(SUPPRESSED);
const code = await run(reports, [vitest, 'run', '--project=quick', '--pool=threads', '--no-file-parallelism', ...args]);
endWithReports(reports, { judge, addon, code, name: 'ThreadSanitizer' });
