/**
 * Measures one turn of a selector of this package: bench/c/turns.c in JavaScript. It calls `select(0)` repeatedly and reads each ready key,
 * as a program would.
 *
 *   turns MECHANISM COUNT SECONDS FIRST      the descriptors are inherited (bench/c/with-eventfds.c)
 */
import { EVENT_READ, createSelector } from '../../../index.js';

const [mechanism, count = 0, seconds = 0, first = 0] = process.argv
  .slice(2)
  .map((text, i) => (i === 0 ? text : +text)) as [string, ...number[]];
/** Turns between two readings of the clock. */
const TURNS_PER_CHECK = 8;
const WARM_UP = 0.3;

const selector = createSelector(mechanism);
for (let fd = first; fd < first + count; fd++) selector.register(fd, EVENT_READ);
let sum = 0;

function turn(): number {
  const ready = selector.select(0);
  for (const [key] of ready) sum += key.fd;
  return ready.length;
}

function measure(seconds: number): { turns: number; ns: number; ready: number } {
  let turns = 0;
  let ready = 0;
  const cpu = process.cpuUsage();
  const end = performance.now() + 1000 * seconds;
  do {
    for (let i = 0; i < TURNS_PER_CHECK; i++) ready += turn();
    turns += TURNS_PER_CHECK;
  } while (performance.now() < end);
  const { user, system } = process.cpuUsage(cpu);
  return { turns, ns: (1000 * (user + system)) / turns, ready: ready / turns };
}

measure(WARM_UP);
const measured = measure(seconds);
process.stdout.write(`${JSON.stringify(measured)}\n`);
process.exitCode = sum === 42 ? 1 : 0; // uses the sum, so that the reads are not optimised away
