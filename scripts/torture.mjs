// npm run torture -- --seed 7 [--operations 1000000]: runs the torture test of the loops (test/long/torture.test.ts) with this seed.
import { spawnSync } from 'node:child_process';
import { Command, InvalidArgumentError } from 'commander';

function count(text) {
  if (!/^\d+$/.test(text) || Number(text) > 0xffff_ffff) throw new InvalidArgumentError('A whole number.');
  return text;
}

const { seed, operations } = new Command('torture')
  .description('random operations on the loops, checked against a model of what each connection must see')
  .option('--seed <number>', 'seed of the random numbers', count, String(Math.floor(Math.random() * 1e9)))
  .option(
    '--operations <number>',
    'number of operations with the default mechanism; a twentieth of it with each other one',
    count,
    '1000000',
  )
  .parse()
  .opts();

process.stdout.write(`seed ${seed}, ${operations} operations\n`);
const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/long/torture.test.ts'], {
  stdio: 'inherit',
  env: { ...process.env, TORTURE_SEED: seed, TORTURE_OPERATIONS: operations },
});
process.exit(status ?? 1);
