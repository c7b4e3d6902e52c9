/** What a server does when the system refuses what it asks for: what is transient is tried again, what is not ends it with the reason. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { models } from '../src/servers/models/index.js';
import { Bench } from './support/bench.js';
import { completionMechanisms } from './support/mechanisms.js';
import { childrenOf } from './support/processes.js';
import { Program, answerOf, cli, root, startCli } from './support/program.js';
import { DIFFERENT, SERVER_MODELS, inTime, isSlowHere, until } from './support/servers.js';
import { noStrace } from './support/strace.js';
import { rpcRequest } from './support/talks.js';

/** The models that start threads or processes to serve or to work. */
const working = SERVER_MODELS.filter(({ name }) => models[name].work !== undefined || models[name].task !== undefined);
const tried = working.filter(({ name, isAvailable }) => isAvailable && (!isSlowHere || DIFFERENT.includes(name)));

const started = /listening on 127\.0\.0\.1:(\d+)/;

/** `serve`, with a system call of each of its threads made to fail. */
function serveWith(bench: Bench, call: string, fault: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const strace = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const program = new Program('strace', [...strace, process.execPath, cli, 'serve', ...args, '--port', '0'], env);
  // The server itself: it would go on without strace, which ends with it.
  bench.atEnd(() => childrenOf(program.process.pid ?? -1).forEach((pid) => process.kill(pid, 'SIGKILL')));
  return program;
}

async function echo(bench: Bench, port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  bench.atEnd(() => socket.destroy());
  socket.write('hello');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.end(); // or a worker that serves one client at a time would not be free for the next one
  await once(socket, 'close');
  return bytes.toString();
}

/** What a client of echo receives before its end: 'hello', or nothing. */
async function endOf(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined); // a reset is an end
  socket.end('hello');
  let received = '';
  socket.on('data', (bytes: Buffer) => (received += bytes.toString()));
  await inTime('the end of a connection', new Promise((closed) => socket.on('close', closed)));
  return received;
}

describe.skipIf(noStrace)(`a call that fails once${noStrace}`, () => {
  it.each(['ENOBUFS', 'ENOMEM', 'ETOOMANYREFS'])(
    'process-pool: sendmsg fails with %s: the client waits, and is served',
    async (error) => {
      using bench = new Bench();
      const program = serveWith(bench, 'sendmsg', `error=${error}:when=1..3`, ['process-pool', '--workers', '1']);
      const [, port] = await program.printed(started);
      for (let i = 0; i < 3; i++) expect(await echo(bench, Number(port))).toBe('hello');
      expect(program.stderr.match(new RegExp(error, 'g'))).toHaveLength(1);
    },
  );

  it.each(['ENOBUFS', 'ENOMEM', 'ETOOMANYREFS'])(
    'process-pool: sendmsg fails with %s five times for a worker: it is reported once, and all are served',
    async (error) => {
      using bench = new Bench();
      const program = serveWith(bench, 'sendmsg', `error=${error}:when=2..6`, ['process-pool', '--workers', '1']);
      const [, port] = await program.printed(started);
      for (let i = 0; i < 3; i++) expect(await echo(bench, Number(port))).toBe('hello');
      expect(/has ended/.exec(program.stderr)).toBe(null);
      expect(program.stderr.match(new RegExp(error, 'g'))).toHaveLength(1);
    },
  );

  it('process-pool: recvmsg fails with ENOMEM in a worker: it waits on, and serves', async () => {
    using bench = new Bench();
    const program = serveWith(bench, 'recvmsg', 'error=ENOMEM:when=1..5', ['process-pool', '--workers', '1']);
    const [, port] = await program.printed(started);
    for (let i = 0; i < 3; i++) expect(await echo(bench, Number(port))).toBe('hello');
    expect(program.stderr).toMatch(/ENOMEM.*recvmsg/);
    expect(program.stderr).not.toMatch(/has ended/);
  });

  /** In each thread and process: the calls by which it takes a connection over, and those by which one is detached. */
  const handOvers = tried
    .filter(({ name }) => models[name].work !== undefined && !/^(process-per|prefork|multi-process)/.test(name))
    .flatMap(({ name }) => [
      // A process makes some for what it inherits.
      {
        name,
        call: 'getsockopt',
        fault: name === 'process-pool' ? 'error=ENOBUFS:when=8..10' : 'error=ENOBUFS:when=1',
      },
      { name, call: 'fcntl', fault: 'error=ENOMEM:when=12..14' },
    ]);
  it.each(handOvers)(
    '$name: a hand-over fails ($call): its client sees an end, the next ones are served, no descriptor is left',
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
      expect(program.stderr).not.toMatch(/has ended/);
      await until('no descriptor is left', () => descriptors() <= before);
    },
  );

  it.each([
    ['reactor', 'poll', 'poll'],
    ['reactor', 'select', 'pselect6'],
    ['reactor', 'epoll', 'epoll_wait'],
    ['process-pool', 'poll', 'poll'],
    ['prefork', 'poll', 'poll'],
  ])('%s over %s: ENOMEM of its wait is reported, and the server goes on', async (model, mechanism, call) => {
    using bench = new Bench();
    const workers = model === 'reactor' ? [] : ['--workers', '1'];
    const program = serveWith(bench, call, 'error=ENOMEM:when=6..8', [model, '--mechanism', mechanism, ...workers]);
    const [, port] = await program.printed(started);
    for (let i = 0; i < 12; i++) expect(await echo(bench, Number(port))).toBe('hello');
    expect(program.process.exitCode).toBe(null);
  });
});

/**
 * NODE_OPTIONS by which the workers of a server throw as soon as they start.
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

/** Asks again and again until the server is gone; each connection must end. */
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

describe.concurrent('workers that die as soon as they start', () => {
  const cases = tried.flatMap(({ name }) => [
    { name, roles: ['work', 'task'] },
    ...(models[name].work !== undefined && models[name].task !== undefined ? [{ name, roles: ['task'] }] : []),
  ]);

  it('once it serves: the server ends, and says so', { timeout: 300_000 }, async () => {
    using bench = new Bench();
    const file = join(bench.folder(), 'from-now-on');
    const names = tried.filter(({ workers, name }) => workers !== null && !models[name].startsForEach);
    const program = bench.own(
      new Program(
        process.execPath,
        [
          '-e',
          `const { createServer } = require(${JSON.stringify(join(root, 'dist/servers.js'))});
          const servers = ${JSON.stringify(names.map(({ name }) => name))}.map((name) => {
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
    expect(whys).toHaveLength(names.length);
  });

  it.each(cases.map((one) => ({ ...one, who: one.roles.join(', ') })))(
    '$name, $who: the server ends with the reason, and leaves no folder',
    { timeout: 300_000 }, // programs start slowly under Wine
    async ({ name, roles }) => {
      using bench = new Bench();
      const folder = bench.folder();
      const workers = models[name].options.includes('workers') ? ['--workers', '2'] : [];
      const program = bench.own(
        startCli(['serve', name, '--app', 'rpc', '--port', '0', ...workers], {
          ...{ TMPDIR: folder, TEMP: folder, TMP: folder },
          // A dozen of programs end at once. LeakSanitizer ends one with exit code 0 where it cannot start its own thread; crashes are still told.
          ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:detect_leaks=0`,
          NODE_OPTIONS: failingWorkers(bench, roles),
        }),
      );
      // Those that start workers for each client or task listen before.
      const startsForEach = models[name].startsForEach === true || models[name].workers === null;
      if (startsForEach) await askUntil(program.ended, Number((await program.printed(started))[1]));
      const { code, stdout, stderr } = await program.ended;
      expect(stderr).toMatch(ITS_WORKERS);
      expect(code).toBe(1);
      if (!startsForEach) expect(stdout).toBe('');
      expect(readdirSync(folder)).toEqual([]);
      const deaths = stderr.match(/ has ended: /g) ?? [];
      expect(deaths.length, 'few are started, with pauses').toBeLessThan(40);
    },
  );
});

describe.skipIf(noStrace)(`workers that die at once${noStrace}`, () => {
  it.each([['multi-reactor', 'eventfd2', 'error=EMFILE:when=4+']])(
    '%s: the server ends with the reason',
    async (model, call, fault) => {
      using bench = new Bench();
      const { code, stderr, stdout } = await serveWith(bench, call, fault, [model, '--workers', '2']).ended;
      expect(stderr + stdout).toMatch(/EMFILE/);
      expect(code).toBe(1);
    },
  );
});

/** Runs a command under RLIMIT_MEMLOCK, of which CAP_IPC_LOCK would be exempt. */
const LIMITED = (bytes: number): string[] => [
  ...['prlimit', `--memlock=${bytes}:${bytes}`],
  ...(process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock'] : []),
];

/** Why RLIMIT_MEMLOCK cannot be tried here; empty where it can. */
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
const noLimit = reasonWithoutLimit();

describe.skipIf(noLimit)(`RLIMIT_MEMLOCK has no room for the rings${noLimit}`, () => {
  const serve = (bench: Bench, bytes: number, args: string): Program => {
    const [command = '', ...limited] = LIMITED(bytes);
    return bench.own(
      new Program(command, [...limited, process.execPath, cli, 'serve', ...args.split(' '), '--port', '0']),
    );
  };
  const echoes = async (bench: Bench, program: Program): Promise<string> => {
    const [line, port] = await program.printed(/listening on 127\.0\.0\.1:(\d+).*\n/);
    const answers = await Promise.all(Array.from({ length: 4 }, () => echo(bench, Number(port))));
    expect(answers).toEqual(answers.map(() => 'hello'));
    return line;
  };
  const commands = ['proactor', 'proactor --stats', 'multi-proactor --workers 2'];
  const NONE = 65_536;
  /** Room for a ring and not for its buffers, for one, one and a half, two, three: the kernel's sizes may differ, what is promised does not. */
  const SIZES = [335_872, 339_968, 344_064, 500_000, 700_000, 1_100_000];

  it.each(commands)('serve %s: the emulation serves', async (args) => {
    using bench = new Bench();
    const program = serve(bench, NONE, args);
    expect(await echoes(bench, program)).toMatch(/emulated:/);
    expect(program.stderr).toBe('');
  });

  it.each(commands)('serve %s --mechanism io_uring: the error names the limit', async (args) => {
    using bench = new Bench();
    const { code, stdout, stderr } = await serve(bench, NONE, `${args} --mechanism io_uring`).ended;
    expect(stderr).toMatch(/RLIMIT_MEMLOCK = 65536 bytes; ulimit -l raises it/);
    expect([code, stdout]).toEqual([1, '']);
  });

  it.each(SIZES)('%d bytes, which have room for some: all serve by default, two servers at once too', async (bytes) => {
    using bench = new Bench();
    for (const program of commands.map((args) => serve(bench, bytes, args))) {
      await echoes(bench, program);
      expect(program.process.exitCode).toBe(null);
      expect(program.stderr).not.toMatch(/has ended/);
    }
  });

  it.each(SIZES)('%d bytes, io_uring asked for by name: it serves, or ends and names the limit', async (bytes) => {
    using bench = new Bench();
    const outcomes = commands.map(async (args) => {
      const program = serve(bench, bytes, `${args} --mechanism io_uring`);
      const served = echoes(bench, program).then((line) => expect(line).toMatch(/io_uring/));
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

describe.skipIf(process.platform === 'win32')('Ctrl-C at any moment', () => {
  it.each(tried.map(({ name }) => name))('%s: leaves neither a folder nor a process behind', async (model) => {
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

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'trace: %s to it alone ends the command, and leaves no folder',
    async (signal) => {
      using bench = new Bench();
      const folder = bench.folder();
      const program = bench.own(
        new Program(process.execPath, [cli, 'trace', '--summary-only', 'serve', 'reactor', '--port', '0'], {
          TMPDIR: folder,
        }),
      );
      while (!started.test(program.stderr)) await once(program.process.stderr as NodeJS.ReadableStream, 'data');
      program.process.kill(signal);
      expect((await program.ended).code).toBe(0);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it('a request that holds the thread: the second Ctrl-C ends the server', async () => {
    using bench = new Bench();
    const program = bench.own(new Program(process.execPath, [cli, 'serve', 'reactor', '--app', 'rpc', '--port', '0']));
    const [, port] = await program.printed(started);
    const socket = connect({ port: Number(port), host: '127.0.0.1' });
    bench.atEnd(() => socket.destroy());
    socket.on('error', () => undefined);
    const body = Buffer.from('{"in": "sleep", "params": 10000}');
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(body.length);
    await new Promise<void>((sent) => socket.write(Buffer.concat([prefix, body]), () => sent()));
    await setTimeout(200);
    program.process.kill('SIGINT');
    await setTimeout(400);
    program.process.kill('SIGINT');
    expect(await program.ended).toMatchObject({ code: null, signal: 'SIGINT' });
  });
});

describe('client', () => {
  it('chat: a line that is too long is reported, and the exit code is 1', async () => {
    using bench = new Bench();
    const server = bench.own(new Program(process.execPath, [cli, 'serve', 'reactor', '--app', 'chat', '--port', '0']));
    const [, port] = await server.printed(started);
    const program = bench.own(
      new Program(process.execPath, [cli, 'client', 'chat', '--user', 'u', '--port', port ?? '']),
    );
    program.process.stdin?.end(`${'x'.repeat(70_000)}\nhello\n`);
    const { stdout, stderr, code } = await program.ended;
    expect([stdout, code]).toEqual(['[u] hello\n', 1]);
    expect(stderr).toMatch(/not sent: a message has at most 65536 bytes/);
  });

  it('chat: says that the server has ended', async () => {
    using bench = new Bench();
    const server = bench.own(new Program(process.execPath, [cli, 'serve', 'reactor', '--app', 'chat', '--port', '0']));
    const [, port] = await server.printed(started);
    const program = bench.own(
      new Program(process.execPath, [cli, 'client', 'chat', '--user', 'u', '--port', port ?? '']),
    );
    program.process.stdin?.write('hello\n');
    await program.printed(/hello/);
    server.process.kill('SIGTERM');
    const { stderr, code } = await program.ended;
    expect(stderr).toMatch(/the server has ended the conversation/);
    expect(code).toBe(1);
  });
});
