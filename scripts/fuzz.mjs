// npm run fuzz -- [--minutes 10] [--seed N] [--steps 2000] [--jobs 2]: runs random programs over the public API (test/fuzz/program.cjs), each in
// its own process. A crash, a hang, an abort, or a thrown value that is not an Error is a failure; its seed and last calls are printed.
import { spawn } from 'node:child_process';
import { constants, tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { SingleBar } from 'cli-progress';
import { root } from './stamp.mjs';

/** A program that prints nothing for this time hangs. */
const HANG_SECONDS = 60;

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
  .description(
    'random programs over the whole public API: a crash, a hang or a thrown value that is not an Error fails',
  )
  .option('--minutes <number>', 'duration', number, 1)
  .option(
    '--seed <number>',
    'seed of the first program; each further program adds 1',
    whole,
    Math.floor(Math.random() * 1e9),
  )
  .option('--programs <number>', 'maximum number of programs; 1 repeats one seed', whole, Infinity)
  .option('--steps <number>', 'calls per program', whole, 2000)
  .option('--jobs <number>', 'programs that run at the same time', whole, 2)
  .option('--log', 'print each call before it is made; use with --programs 1')
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

/** Runs one program. @returns a description of the failure; null: none */
function runOne(seed) {
  // Its own temporary folder, deleted afterwards: a killed program does not delete its files.
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
    }, HANG_SECONDS * 1000);
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
      const reason = hangs
        ? `printed nothing for ${HANG_SECONDS} s`
        : signal !== null
          ? `killed by ${signal}`
          : `exited with code ${code}`;
      resolve(`seed ${seed}: ${reason}\n${stderr}`);
    });
  });
}

process.stdout.write(`seed ${options.seed}, ${options.minutes} minutes, ${options.steps} calls per program\n`);
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
  process.stdout.write(`to repeat: npm run fuzz -- --programs 1 --log --seed ${/\d+/.exec(failure)[0]}\n`);
process.exit(isInterrupted ? 128 + constants.signals.SIGINT : failures.length === 0 ? 0 : 1);
