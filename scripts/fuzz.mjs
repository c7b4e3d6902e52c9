// npm run fuzz -- [--minutes 10] [--seed N] [--steps 2000] [--jobs 2]: random programs over the public API (test/fuzz/program.cjs), each in a
// process of its own. A crash, a hang, an abort, or a throw that is no Error is a failure: its seed and its last calls are printed.
import { spawn } from 'node:child_process';
import { constants, tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { SingleBar } from 'cli-progress';
import { root } from './stamp.mjs';

/** A program that has printed nothing for so long hangs. Seconds. */
const SILENCE = 60;

function number(text) {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) > 0xffff_ffff)
    throw new InvalidArgumentError('A number of 0 or more.');
  return Number(text);
}
function whole(text) {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('A whole number.');
  return number(text);
}

const options = new Command('fuzz')
  .description('random programs over the whole public API: a crash, a hang, or a throw that is no Error fails')
  .option('--minutes <number>', 'how long', number, 1)
  .option('--seed <number>', "the first program's; the following ones count up", whole, Math.floor(Math.random() * 1e9))
  .option('--programs <number>', 'at most so many programs; 1 repeats that of a seed', whole, Infinity)
  .option('--steps <number>', 'calls in each program', whole, 2000)
  .option('--jobs <number>', 'programs at once', whole, 2)
  .option('--log', 'print each call before it is made: for --programs 1')
  .addHelpText(
    'after',
    `
Examples:
  npm run fuzz -- --minutes 10
  npm run fuzz -- --seed 1234 --programs 1 --log`,
  )
  .parse()
  .opts();

const end = performance.now() + options.minutes * 60_000;
const failures = [];
const running = new Set();
let next = options.seed;
let done = 0;
let isInterrupted = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    isInterrupted = true;
    for (const child of running) child.kill('SIGKILL');
  });
}

/** One program. @returns what was wrong; null: nothing */
function runOne(seed) {
  // A folder of its own: a program that is killed leaves its files behind.
  const folder = mkdtempSync(join(tmpdir(), 'selectors-native-fuzz-'));
  const env = { ...process.env, TMPDIR: folder, ...(options.log ? { FUZZ_LOG: '1' } : {}) };
  const args = ['--expose-gc', join(root, 'test/fuzz/program.cjs'), String(seed), String(options.steps)];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  return new Promise((resolve) => {
    let hangs = false;
    let stderr = '';
    const timer = setTimeout(() => {
      hangs = true;
      child.kill('SIGKILL');
    }, SILENCE * 1000);
    child.stdout.on('data', () => timer.refresh());
    child.stderr.on('data', (text) => {
      if (options.log) process.stderr.write(text);
      stderr = (stderr + text).slice(-8000);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      rmSync(folder, { recursive: true, force: true });
      if (code === 0 || isInterrupted) return resolve(null);
      const how = hangs ? `printed nothing for ${SILENCE} s` : `ended by ${signal ?? `exit code ${code}`}`;
      resolve(`seed ${seed}: ${how}\n${stderr}`);
    });
  });
}

process.stdout.write(`seed ${options.seed}, ${options.minutes} minutes, ${options.steps} calls in each program\n`);
const bar = new SingleBar({
  format: '{bar} {percentage} % | {programs} programs, {failures} failures',
  noTTYOutput: false,
  hideCursor: true,
});
if (process.stdout.isTTY) bar.start(100, 0, { programs: 0, failures: 0 });
const begun = performance.now();

async function job() {
  while (performance.now() < end && next - options.seed < options.programs && !isInterrupted) {
    const failure = await runOne(next++);
    done++;
    if (failure !== null) {
      failures.push(failure);
      process.stderr.write(`\n${failure}\n`);
    }
    const share = Math.min(100, Math.round((100 * (performance.now() - begun)) / (end - begun)));
    bar.update(share, { programs: done, failures: failures.length });
  }
}
await Promise.all(Array.from({ length: options.jobs }, job));
bar.stop();

const seeds = `seeds ${options.seed} to ${next - 1}`;
process.stdout.write(`${done} programs, ${done * options.steps} calls, ${seeds}: ${failures.length} failures\n`);
for (const failure of failures)
  process.stdout.write(`again: npm run fuzz -- --programs 1 --log --seed ${/\d+/.exec(failure)[0]}\n`);
process.exit(isInterrupted ? 128 + constants.signals.SIGINT : failures.length === 0 ? 0 : 1);
