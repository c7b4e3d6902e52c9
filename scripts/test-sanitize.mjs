// npm run test:sanitize [-- vitest's arguments]: runs the tests with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer in the addon.
// Fails if a test fails, if a process (child processes included) has a report that concerns this package, or if the planted leak
// (test/native/planted-leak.cc) is not found. --prepare: only builds.
import { join } from 'node:path';
import {
  createReports,
  exitWithReports,
  findPlanted,
  framesBelowNode,
  resolveFrames,
  runSanitized,
  sanitizedBuild,
  vitest,
} from './sanitizers.mjs';

/** A guard against a hang: about 340 s on two idle cores. */
const LIMIT_SECONDS = 2400;

const addon = sanitizedBuild('sanitize', 'The sanitizer run', 'address,undefined');
if (process.argv.includes('--prepare')) process.exit();

/** They run no C++ that other tests do not run too, and start many programs, which is slow under sanitizers. */
const EXCLUDED = [
  ...['architecture', 'bench*', 'call-verdicts', 'cli*', 'compare*', 'examples', 'package', 'report*'],
  ...['server-models', 'server-verdicts', 'textbook', 'transcripts'],
];
const args = process.argv.slice(2);
const hasFiles = args.some((arg) => !arg.startsWith('-'));
if (!hasFiles) {
  process.stdout.write(`excluded, because other tests run the same C++: ${EXCLUDED.join(', ')}\n`);
  args.push(...EXCLUDED.map((name) => `--exclude=test/${name}.test.ts`));
}

const run = (reports, args) =>
  runSanitized([], [process.execPath, ...args], {
    addon,
    runtimes: ['libasan.so', 'libubsan.so'],
    seconds: LIMIT_SECONDS,
    options: {
      // intercept_tls_get_addr=0: GCC 12's runtime takes some memory of the C library for the header of thread-local storage, and
      // LeakSanitizer then crashes ("Tracer caught signal 11"). Fixed in GCC 14 and LLVM 17.
      // symbolize=0, malloc_context_size=12: a process that calls process.exit() leaks all of V8, and names and long stacks of it take
      // four times the processor time of all else. `resolveFrames` adds names to what is printed. The other two: each process would keep
      // 256 MB of freed memory, and give memory back to the kernel, which costs a quarter of the time.
      ASAN_OPTIONS: `abort_on_error=1:detect_leaks=1:symbolize=0:malloc_context_size=12:quarantine_size_mb=64:allocator_release_to_os_interval_ms=-1:intercept_tls_get_addr=0:log_path=${join(reports.folder, 'asan')}:log_exe_name=0`,
      // exitcode=0: leaks are filtered below and must not change a child process's exit code. It holds for all reports; abort_on_error=1 makes
      // the others fail.
      LSAN_OPTIONS: `suppressions=${reports.suppressions}:print_suppressions=0:exitcode=0`,
      UBSAN_OPTIONS: `abort_on_error=1:halt_on_error=1:print_stacktrace=1:log_path=${join(reports.folder, 'ubsan')}`,
    },
  });
// vitest's bundler never frees about 1,500 bytes. Do not suppress node or V8: node is on the stack of the addon's own leaks too.
const SUPPRESSED = ['leak:rolldown-binding'];

/** An object that has no owner: its worker was terminated within the constructor, and napi_wrap failed. */
const isOrphan = (record) => resolveFrames(record, addon).includes('ConstructorCallbackWrapper');
/** About the number of workers that the tests terminate. More orphans mean objects that are never deleted. */
const MAX_ORPHANS = 60;

/**
 * The part of a report that concerns this package. After process.exit() or an uncaught error, Node.js frees no memory, and all of V8 is
 * "leaked". So a leak counts only if this package's code allocated it, without a frame of Node.js in between. All other reports count.
 */
function filter(report) {
  if (!report.includes('detected memory leaks')) return report;
  const records = report
    .split('\n\n')
    .filter((record) =>
      framesBelowNode(record).some((frame) => /selectors_native\.node|planted_leak\.node/.test(frame)),
    );
  const orphans = records.filter(isOrphan);
  const count = orphans.reduce((sum, record) => sum + Number(/in (\d+) object/.exec(record)?.[1]), 0);
  return records.filter((record) => count > MAX_ORPHANS || !orphans.includes(record)).join('\n\n');
}

await findPlanted('planted-leak', { suppressed: SUPPRESSED, run, filter, addon, expected: '4321 byte' });

const reports = createReports(SUPPRESSED);
// Threads, because vitest's worker processes exit without LeakSanitizer's check. One at a time, because descriptors are counted per process.
const code = await run(reports, [vitest, 'run', '--project=!long', '--pool=threads', '--no-file-parallelism', ...args]);
exitWithReports(reports, { filter, addon, code, name: 'sanitizers' });
