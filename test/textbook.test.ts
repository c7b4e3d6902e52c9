/** The textbook's servers in C (native/textbook/textbook.c): each model and accept strategy echoes, and ends with all its processes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { Client } from './support/client.js';
import { callsOf, only } from './support/compare-cases.js';
import { allSubjects, textbookModels, textbookProgram } from './support/comparison.js';
import { childrenOf, isRunning } from './support/processes.js';
import { Program, root } from './support/program.js';
import { inTime, until } from './support/servers.js';
import { noStrace } from './support/strace.js';

const { path, why } = textbookProgram();
const program = path ?? '';
const skipped = path === null ? ` — not here: ${why}` : '';
const WORKERS = 4;
/** Pools: their workers serve one connection each until it ends. */
const POOLS = ['thread-pool', 'prefork', 'process-pool'];

const models = textbookModels().map(({ model, accept, missing }) => ({
  name: accept === undefined ? model : `${model} --accept ${accept}`,
  model,
  accept,
  missing,
  args: [
    model,
    ...(POOLS.includes(model) ? ['--workers', String(WORKERS)] : []),
    ...(accept === undefined ? [] : ['--accept', accept]),
  ],
}));

/** A running server, and its address. */
async function start(bench: Bench, args: readonly string[]): Promise<{ server: Program; host: string; port: number }> {
  const server = bench.own(new Program(program, args));
  const [, port] = await server.printed(/^listening on 127\.0\.0\.1:(\d+)\n/);
  return { server, host: '127.0.0.1', port: Number(port) };
}

/** It ends with exit code 0, and its children end, too. */
async function endsBy({ process, ended }: Program, end: () => void): Promise<void> {
  const children = childrenOf(process.pid ?? 0);
  end();
  expect(await inTime('its end', ended)).toMatchObject({ code: 0, signal: null, stderr: '' });
  await until('the end of its children', () => !children.some(isRunning));
}

describe.skipIf(path === null)(`the textbook's servers${skipped}`, () => {
  for (const { name, model, accept, missing, args } of models) {
    describe.skipIf(missing !== null)(`${name}${missing === null ? '' : ` — not here: ${missing}`}`, () => {
      it('echoes to two clients, and ends on SIGTERM with all its children', async () => {
        using bench = new Bench();
        const address = await start(bench, args);
        const first = await Client.connect(address);
        await first.echoes('first');
        if (model === 'iterative' || accept === 'reuseport') await first.leave(); // it serves one at a time; they may have the same socket
        const second = await Client.connect(address);
        await second.echoes('second');
        if (!first.isClosed) await first.echoes('first again');
        await second.echoes('x'.repeat(100_000));
        await second.leave();
        if (!first.isClosed) await first.leave();
        await endsBy(address.server, () => address.server.process.kill('SIGTERM'));
      });

      it('accepts each of 50 connections, one after the other', async () => {
        using bench = new Bench();
        const address = await start(bench, args);
        for (let i = 0; i < 50; i++) {
          const client = await Client.connect(address);
          await client.echoes(`client ${i}`);
          await client.leave();
        }
        await endsBy(address.server, () => address.server.process.stdin?.end());
      });
    });
  }

  it('a killed server leaves no child', async () => {
    using bench = new Bench();
    for (const model of ['prefork', 'process-pool', 'fork-per-connection']) {
      const { server, host, port } = await start(bench, [model]);
      const client = await Client.connect({ host, port });
      await client.echoes('hello');
      const children = childrenOf(server.process.pid ?? 0);
      if (process.platform === 'linux') expect(children).toHaveLength(model === 'fork-per-connection' ? 1 : 8);
      server.process.kill('SIGKILL');
      await server.ended;
      await until('the end of its children', () => !children.some(isRunning));
      client.close();
    }
  });

  it('serves clients at a time, and a slow one blocks none, with a thread or a process for each', async () => {
    using bench = new Bench();
    for (const model of ['thread-per-connection', 'fork-per-connection']) {
      const address = await start(bench, [model]);
      const clients = await Promise.all(Array.from({ length: 30 }, () => Client.connect(address)));
      for (const client of clients.reverse()) await client.echoes('hello');
      for (const client of clients) await client.leave();
      await endsBy(address.server, () => address.server.process.kill('SIGINT'));
    }
  });

  it('a client that resets its connection harms no other one', async () => {
    using bench = new Bench();
    const address = await start(bench, ['prefork', '--workers', '1']);
    const first = await Client.connect(address);
    await first.echoes('hello');
    first.write(Buffer.alloc(1_000_000));
    first.reset();
    const second = await Client.connect(address);
    await second.echoes('hello');
    await second.leave();
    await endsBy(address.server, () => address.server.process.kill('SIGTERM'));
  });

  it('a taken port: exit code 1, and the error', async () => {
    await using taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    for (const { missing, args } of models.filter(({ accept }) => accept !== 'epoll')) {
      if (missing !== null) continue;
      const { status, stdout, stderr } = spawnSync(program, [...args, '--port', String(port)], { encoding: 'utf8' });
      expect({ status, stdout, stderr }).toEqual({
        status: 1,
        stdout: '',
        stderr: 'textbook: bind: Address already in use\n',
      });
    }
  });

  const mistakes = [
    [[], 'MODEL is missing'],
    [['nonsense'], 'unknown name: nonsense'],
    [['prefork', '--accept', 'nonsense'], 'unknown name: nonsense'],
    [['prefork', '--nonsense', '1'], 'unknown option: --nonsense'],
    [['thread-pool', '--accept', 'lock'], 'not an option of this model: --accept'],
    [['iterative', '--workers', '1'], 'not an option of this model: --workers'],
    [['prefork', '--workers', '0'], 'not a number in the allowed range: 0'],
    [['prefork', '--workers', '1x'], 'not a number in the allowed range: 1x'],
    [['iterative', '--port', '65536'], 'not a number in the allowed range: 65536'],
    [['iterative', '--port'], 'a value is missing after --port'],
  ] as const;
  it.each(mistakes)('%j: exit code 2', (args, problem) => {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: `textbook: ${problem} (see textbook --help)\n`,
    });
  });

  it('--help names all models and strategies', () => {
    const help = execFileSync(program, ['--help'], { encoding: 'utf8' });
    for (const { model, accept = model } of models)
      expect(help).toMatch(new RegExp(`^  ${model === 'prefork' ? accept : model} `, 'm'));
  });

  it('are subjects of compare()', () => {
    const subjects = allSubjects().filter(({ textbook }) => textbook !== undefined);
    expect(subjects.map(({ name, isAvailable }) => [name, isAvailable])).toEqual(
      models.map(({ model, accept, missing }) => [
        ['textbook', model, ...(accept === undefined ? [] : [accept])].join(':'),
        missing === null,
      ]),
    );
  });

  it.skipIf(noStrace !== '')(`make two calls per message: recvfrom and sendto${noStrace}`, async () => {
    for (const subject of ['textbook:thread-per-connection', 'textbook:thread-pool', 'textbook:prefork:blocking']) {
      const row = await only(subject, { messages: 2000 });
      expect(callsOf(row, 'recvfrom'), subject).toBeCloseTo(1, 1);
      expect(callsOf(row, 'sendto'), subject).toBeCloseTo(1, 1);
      expect(row.syscallsPerMessage, subject).toBeLessThan(2.05);
      expect(row.cpuMicrosecondsPerMessage, subject).toBeGreaterThanOrEqual(0);
    }
  });

  it('its source has at most 400 lines', () => {
    expect(readFileSync(join(root, 'native/textbook/textbook.c'), 'utf8').split('\n').length).toBeLessThanOrEqual(401);
  });
});
