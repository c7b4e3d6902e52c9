// npm run test:sanitize [-- vitest's arguments]: the suite over an addon with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
// Fails with vitest, and with any report, of child processes too. --prepare builds, and runs nothing.
import { join } from 'node:path';
import { root } from './stamp.mjs';
import { endWithReports, newReports, runSanitized, sanitizedBuild, vitest } from './sanitizers.mjs';

const LIMIT_SECONDS = 1200;

const addon = sanitizedBuild('sanitize', 'The sanitizer run', 'address,undefined');
if (process.argv.includes('--prepare')) process.exit();

// vitest's bundler never frees some 1,500 bytes. Nothing of node or V8 may stand here: node is on the stack of our own leaks too.
const reports = newReports(['leak:rolldown-binding']);

/** They run no C++ that others do not run as well, and programs start slowly here. */
const ELSEWHERE = [
  ...['architecture', 'call-verdicts', 'cli*', 'compare*', 'examples', 'package', 'report*', 'server-verdicts'],
  'transcripts',
];
const args = process.argv.slice(2);
const asked = args.some((arg) => !arg.startsWith('-'));
if (!asked) {
  process.stdout.write(`not under the sanitizers, for they run no C++ that others do not: ${ELSEWHERE.join(', ')}\n`);
  args.push(...ELSEWHERE.map((name) => `--exclude=test/${name}.test.ts`));
}

// Threads, not processes: vitest's worker processes end without the check for leaks. One at a time: descriptors are counted per process.
const run = [process.execPath, vitest, 'run', '--project=quick', '--pool=threads', '--no-file-parallelism', ...args];
const code = await runSanitized([], run, {
  addon,
  runtimes: ['libasan.so', 'libubsan.so'],
  seconds: LIMIT_SECONDS,
  options: {
    ASAN_OPTIONS: `abort_on_error=1:detect_leaks=1:log_path=${join(reports.folder, 'asan')}:log_exe_name=0`,
    // A leak is judged below, and does not change how a test's child process ends: exitcode=0 is for all reports, so that others abort.
    LSAN_OPTIONS: `suppressions=${reports.suppressions}:print_suppressions=0:exitcode=0`,
    UBSAN_OPTIONS: `abort_on_error=1:halt_on_error=1:print_stacktrace=1:log_path=${join(reports.folder, 'ubsan')}`,
  },
});

const ours = [join(root, 'native/'), 'node-addon-api', 'selectors_native.node'];
/** A worker that is terminated within a constructor of ours leaves that object behind: napi_wrap fails, and nobody owns it. */
const isForgotten = (record) => record.includes('ConstructorCallbackWrapper');
/** As many as the tests terminate workers. More would be objects that are never deleted. */
const MOST_FORGOTTEN = 60;

/**
 * What of a report concerns this package. Node gives its memory back only where it ends of itself: after process.exit() or an uncaught
 * error all of V8 is "leaked". So of leaks those count that our code made, without Node in between; of everything else, all.
 */
function judge(report) {
  if (!report.includes('detected memory leaks')) return report;
  const records = report.split('\n\n').filter((record) => {
    const [allocated = ''] = record.split(/^ +#\d+ .*\(\S*node\+0x/m);
    return ours.some((place) => allocated.includes(place));
  });
  const forgotten = records
    .filter(isForgotten)
    .reduce((sum, record) => sum + Number(/in (\d+) object/.exec(record)?.[1]), 0);
  return records.filter((record) => forgotten > MOST_FORGOTTEN || !isForgotten(record)).join('\n\n');
}

endWithReports(reports, { judge, addon, code, name: 'sanitizers' });
