/**
 * Measures how long the npm package `epoll` takes to report each ready descriptor once, which corresponds to a turn of the others.
 *
 *     turns_npm_epoll.js N ACTIVE SECONDS FIRST_FD
 *
 * The package has no wait of its own: its thread waits for one event, wakes Node's loop, which calls back, and continues when that has
 * returned. As many callbacks as there are ready descriptors count as a turn, because epoll reports descriptors that stay ready in rotation.
 * The CPU time is that of both threads. The descriptors and the line of JSON are those of turns.py. The package is looked up from the folder
 * NPM_EPOLL and from the current folder.
 */
const { createRequire } = require('node:module');
const { join } = require('node:path');

const WARM_UP = 100; // ms
const CALLS_A_LOOK = 8; // at the clock

const [count, active, seconds, first] = process.argv.slice(2).map(Number);
if (process.argv.length !== 6 || !(active > 0))
  fail('turns_npm_epoll.js N ACTIVE SECONDS FIRST_FD, with ACTIVE above 0');
const { Epoll } = load();

/** Number of reports per descriptor, which a program would read. */
const told = new Uint32Array(count);
let calls = 0;
let end = performance.now() + WARM_UP;
let before = null;

const poller = new Epoll((error, fd) => {
  if (error !== null) fail(error.message);
  told[fd - first]++;
  calls++;
  if (calls % CALLS_A_LOOK !== 0 || performance.now() < end) return;
  if (before === null) {
    calls = 0;
    end = performance.now() + seconds * 1000;
    before = process.cpuUsage();
  } else if (end !== Infinity) {
    end = Infinity;
    report(process.cpuUsage(before));
    setImmediate(() => poller.close()); // not in here: it would free what is calling
  }
});
for (let fd = first; fd < first + count; fd++) poller.add(fd, Epoll.EPOLLIN);

function report({ user, system }) {
  const ready = told.filter((times) => times > 0).length;
  const turns = calls / ready;
  console.log(JSON.stringify({ turns: Math.round(turns), ns: ((user + system) * 1000) / turns, ready }));
}

function load() {
  for (const folder of [process.env.NPM_EPOLL, process.cwd()]) {
    if (folder === undefined) continue;
    try {
      return createRequire(join(folder, 'package.json'))('epoll');
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return fail('the npm package epoll is not installed');
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
