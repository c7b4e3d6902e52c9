/** Servers whose system calls fail: they retry after transient errors, and end with the reason after others. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { models } from '../../src/servers/models/index.js';
import { Bench } from './bench.js';
import { completionMechanisms, readinessMechanisms } from './mechanisms.js';
import { childrenOf } from './processes.js';
import { Program, answerOf, cli, root, startCli } from './program.js';
import { SERVER_MODELS, type ServerModelName, inTime, until } from './servers.js';
import { rpcRequest } from './talks.js';

type Names = readonly ServerModelName[];

/** The models that start threads or processes for connections or tasks. */
export const working: Names = SERVER_MODELS.filter(({ name, isAvailable }) => {
  const { work, task } = models[name];
  return isAvailable && (work !== undefined || task !== undefined);
}).map(({ name }) => name);

export const started = /listening on 127\.0\.0\.1:(\d+)/;

/** Starts `serve` with an injected fault in a system call of each of its threads. */
export function serveWith(
  bench: Bench,
  call: string,
  fault: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
) {
  const strace = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const program = new Program('strace', [...strace, process.execPath, cli, 'serve', ...args, '--port', '0'], env);
  // End the server, and not strace: strace exits with it, but the server would outlive strace.
  bench.atEnd(() => childrenOf(program.process.pid ?? -1).forEach((pid) => process.kill(pid, 'SIGKILL')));
  return program;
}

export async function echo(bench: Bench, port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  bench.atEnd(() => socket.destroy());
  socket.write('hello');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.end(); // frees a worker that serves one client at a time
  await once(socket, 'close');
  return bytes.toString();
}

/** What a client of echo receives before the end of the stream: 'hello', or nothing. */
async function endOf(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined); // a reset is an end
  socket.end('hello');
  let received = '';
  socket.on('data', (bytes: Buffer) => (received += bytes.toString()));
  await inTime('the end of a connection', new Promise((closed) => socket.on('close', closed)));
  return received;
}

/** For each model: passing a connection to a worker fails. */
export function describeHandOvers(names: Names): void {
  // With libkqueue each thread first tries kqueue(2) once: 8 calls of fcntl, 4 in its evfilt_signal_init(), 2 in its linux_kqueue_init(), and 2
  // of the addon for FD_CLOEXEC. The 12th is then one without which process-pool does not start.
  const isLibkqueue = readinessMechanisms.some(({ mechanism, available }) => mechanism === 'kqueue' && available);
  /** The calls that receive a connection, and those that detach one, in each thread and process. */
  const handOvers = names
    .filter((name) => models[name].work !== undefined && !/^(process-per|prefork|multi-process)/.test(name))
    .flatMap((name) => {
      // Per thread: the acceptor of thread-per-connection makes one for each connection, a new thread up to three.
      const first = name === 'thread-per-connection' ? (isLibkqueue ? 12 : 4) : isLibkqueue ? 16 : 12;
      return [
        // A process makes a few of these calls for the sockets that it inherits.
        {
          name,
          call: 'getsockopt',
          fault: name === 'process-pool' ? 'error=ENOBUFS:when=8..10' : 'error=ENOBUFS:when=1',
        },
        { name, call: 'fcntl', fault: `error=ENOMEM:when=${first}..${first + 2}` },
      ];
    });
  it.each(handOvers)(
    '$name: passing a connection on fails ($call): its client sees an end, the next ones are served, no descriptor is left',
    async ({ name, call, fault }) => {
      using bench = new Bench();
      const workers = models[name].options.includes('workers') ? ['--workers', '1'] : [];
      const program = serveWith(bench, call, fault, [name, ...workers]);
      const [, port] = await program.printed(started);
      const [pid = -1] = childrenOf(program.process.pid ?? -1);
      const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
      const before = descriptors();
      const ends: string[] = [];
      for (let i = 0; i < 10; i++) ends.push(await endOf(Number(port)));
      // Each thread of thread-per-connection makes its own first call.
      const hasServed = name !== 'thread-per-connection' || call !== 'getsockopt';
      expect(ends.includes('hello'), ends.join()).toBe(hasServed);
      if (hasServed) expect(ends.at(-1)).toBe('hello');
      expect(ends).toContain('');
      expect(program.stderr).toMatch(new RegExp(`(ENOBUFS|ENOMEM).*${call}`));
      expect(program.stderr).not.toMatch(/has exited/);
      await until('no descriptor is left', () => descriptors() <= before);
    },
  );
}

/**
 * NODE_OPTIONS that make the workers of a server throw as soon as they start.
 * @param roles of the workers: work, task
 * @param file they throw once this file exists; default: always
 */
function failingWorkers(bench: Bench, roles: readonly string[], file?: string): string {
  const preload = join(bench.folder(), 'fail.cjs');
  writeFileSync(
    preload,
    `const { isMainThread, workerData } = require('node:worker_threads');
    const isProcess = isMainThread && /process\\.js$/.test(process.argv[1] ?? '');
    const role = isProcess ? JSON.parse(process.argv[2]).role : workerData?.role;
    const isTime = ${file === undefined ? 'true' : `require('node:fs').existsSync(${JSON.stringify(file)})`};
    if (isTime && ${JSON.stringify(roles)}.includes(role)) throw new Error('made to fail');`,
  );
  return `--require ${JSON.stringify(preload)}`;
}

/** Sends requests until the server has exited; each connection must end. */
async function askUntil(ended: Promise<unknown>, port: number): Promise<void> {
  let isOver = false as boolean;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined); // a reset is an end
    socket.end(rpcRequest('ping'));
    socket.resume();
    await new Promise((closed) => socket.on('close', closed));
    await setTimeout(20);
  }
}

const ITS_WORKERS = /its workers end as soon as they are started: (made to fail|exit code 1)/;

/** A server of each model in one program; from a given moment on, its workers exit as soon as they start. */
export function describeDyingTogether(names: Names): void {
  // The servers pause before they restart a worker: run the tests in parallel.
  describe.concurrent('workers that exit, in one program', () => {
    it('after it serves: the server ends, and gives the reason', async () => {
      using bench = new Bench();
      const file = join(bench.folder(), 'from-now-on');
      const chosen = SERVER_MODELS.filter(
        ({ workers, name }) => names.includes(name) && workers !== null && !models[name].startsPerConnection,
      );
      const program = bench.own(
        new Program(
          process.execPath,
          [
            '-e',
            `const { createServer } = require(${JSON.stringify(join(root, 'dist/servers.js'))});
          const servers = ${JSON.stringify(chosen.map(({ name }) => name))}.map((name) => {
            let tell;
            const ended = new Promise((resolve) => (tell = resolve));
            const onWorkerExit = ({ role, why }) => role === 'main' && tell(name + ': ' + why);
            return { ended, server: createServer(name, { workers: 2, onWorkerExit }) };
          });
          (async () => {
            await Promise.all(servers.map(({ server }) => server.listen()));
            require('node:fs').writeFileSync(${JSON.stringify(file)}, '');
            for (const { server } of servers)
              for (const { id, role } of await server.workers()) if (role !== 'main') await server.killWorker(id);
            console.log(JSON.stringify(await Promise.all(servers.map(({ ended }) => ended))));
            for (const { server } of servers) await server.close();
          })();`,
          ],
          { NODE_OPTIONS: failingWorkers(bench, ['work', 'task'], file) },
        ),
      );
      const whys = (await answerOf(program.ended)) as string[];
      expect(whys.filter((why) => !ITS_WORKERS.test(why))).toEqual([]);
      expect(whys).toHaveLength(chosen.length);
    });
  });
}

/** For each model: a program whose workers exit as soon as they start. */
export function describeDyingWorkers(names: Names): void {
  const cases = names.flatMap((name) => [
    { name, roles: ['work', 'task'] },
    ...(models[name].work !== undefined && models[name].task !== undefined ? [{ name, roles: ['task'] }] : []),
  ]);

  describe.concurrent('workers that exit as soon as they start', () => {
    it.each(cases.map((one) => ({ ...one, who: one.roles.join(', ') })))(
      '$name, $who: the server ends with the reason, and leaves no folder',
      async ({ name, roles }) => {
        using bench = new Bench();
        const folder = bench.folder();
        const workers = models[name].options.includes('workers') ? ['--workers', '2'] : [];
        const program = bench.own(
          startCli(['serve', name, '--app', 'rpc', '--port', '0', ...workers], {
            ...{ TMPDIR: folder, TEMP: folder, TMP: folder },
            // A dozen programs end at once. LeakSanitizer exits with 0 if it cannot start its thread; crashes are still reported.
            ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:detect_leaks=0`,
            NODE_OPTIONS: failingWorkers(bench, roles),
          }),
        );
        // Models that start workers per client or task listen first.
        const startsPerConnection = models[name].startsPerConnection === true || models[name].workers === null;
        if (startsPerConnection) await askUntil(program.ended, Number((await program.printed(started))[1]));
        const { code, stdout, stderr } = await program.ended;
        expect(stderr).toMatch(ITS_WORKERS);
        expect(code).toBe(1);
        if (!startsPerConnection) expect(stdout).toBe('');
        expect(readdirSync(folder)).toEqual([]);
        const deaths = stderr.match(/ has exited: /g) ?? [];
        expect(deaths.length, 'few workers are started, with pauses').toBeLessThan(40);
      },
    );
  });
}

/** Runs a command under RLIMIT_MEMLOCK, without CAP_IPC_LOCK, which would exempt it. */
const LIMITED = (bytes: number): string[] => [
  ...['prlimit', `--memlock=${bytes}:${bytes}`],
  ...(process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock'] : []),
];

/** Why RLIMIT_MEMLOCK cannot be tested here; empty if it can. */
function reasonWithoutLimit(): string {
  const ring = completionMechanisms.find(({ mechanism }) => mechanism === 'io_uring');
  if (ring?.available !== true) return ` — not here: ${ring?.why}`;
  const [command = '', ...args] = LIMITED(65_536);
  const { status, stdout } = spawnSync(command, [...args, process.execPath, cli, 'info', '--json'], {
    encoding: 'utf8',
  });
  if (status !== 0) return ' — not here: prlimit and setpriv are not installed, or not permitted';
  return /io_uring_setup \(RLIMIT_MEMLOCK = 65536 bytes.*ENOMEM/.test(stdout)
    ? ''
    : ' — not here: this kernel counts no ring';
}
export const noLimit = reasonWithoutLimit();

export const serveLimited = (bench: Bench, bytes: number, args: string): Program => {
  const [command = '', ...limited] = LIMITED(bytes);
  return bench.own(
    new Program(command, [...limited, process.execPath, cli, 'serve', ...args.split(' '), '--port', '0']),
  );
};
export const echoesOf = async (bench: Bench, program: Program): Promise<string> => {
  const [line, port] = await program.printed(/listening on 127\.0\.0\.1:(\d+).*\n/);
  const answers = await Promise.all(Array.from({ length: 4 }, () => echo(bench, Number(port))));
  expect(answers).toEqual(answers.map(() => 'hello'));
  return line;
};
export const commands = ['proactor', 'proactor --stats', 'multi-proactor --workers 2'];

/** The default mechanism and a named one, under this limit of locked memory, in bytes. */
export function describeLimits(sizes: readonly number[]): void {
  describe.skipIf(noLimit)(`RLIMIT_MEMLOCK is large enough for some rings${noLimit}`, { concurrent: true }, () => {
    it.each(sizes)(
      '%d bytes, enough for some: all models serve by default, also two servers at once',
      async (bytes) => {
        using bench = new Bench();
        for (const program of commands.map((args) => serveLimited(bench, bytes, args))) {
          await echoesOf(bench, program);
          expect(program.process.exitCode).toBe(null);
          expect(program.stderr).not.toMatch(/has exited/);
        }
      },
    );

    it.each(sizes)('%d bytes, io_uring asked for by name: it serves, or ends and names the limit', async (bytes) => {
      using bench = new Bench();
      const outcomes = commands.map(async (args) => {
        const program = serveLimited(bench, bytes, `${args} --mechanism io_uring`);
        const served = echoesOf(bench, program).then((line) => expect(line).toMatch(/io_uring/));
        if (
          await served.then(
            () => true,
            () => false,
          )
        )
          return;
        expect(await program.ended).toMatchObject({
          code: 1,
          stdout: '',
          stderr: expect.stringMatching(/RLIMIT_MEMLOCK/),
        });
      });
      await Promise.all(outcomes);
    });
  });
}

/** For each model: a signal during its start. */
export function describeInterruptions(names: Names): void {
  describe.skipIf(process.platform === 'win32')('Ctrl-C at any moment', { concurrent: true }, () => {
    it.each(names)('%s: leaves neither a folder nor a process behind', async (model) => {
      using bench = new Bench();
      const folder = bench.folder();
      await Promise.all(
        [60, 120, 180, 240].map(async (ms) => {
          const workers = models[model].options.includes('workers') ? ['--workers', '2'] : [];
          const args = [cli, 'serve', model, ...workers, '--port', '0'];
          const program = bench.own(new Program(process.execPath, args, { TMPDIR: folder }));
          await setTimeout(ms);
          const children = childrenOf(program.process.pid ?? -1);
          program.process.kill('SIGTERM');
          await program.ended;
          for (const child of children) expect(childrenOf(child)).toEqual([]);
        }),
      );
      expect(readdirSync(folder)).toEqual([]);
    });
  });
}
