/** `npm run bench`: the clients that check every byte, the reference programs in C, the other servers, and the command. */
import { spawn } from 'node:child_process';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type * as buildModule from '../../src/instruments/bench/build.js';
import type * as childModule from '../../src/instruments/bench/child.js';
import type { BenchResults, CoresRound } from '../../src/instruments/bench/results.js';
import { CORES_SUBJECTS, type CoresSubject, limitOf } from '../../src/instruments/bench/cores.js';
import type * as subjectsModule from '../../src/instruments/bench/subjects.js';
import type * as turnsModule from '../../src/instruments/bench/turn-programs.js';
import { frame } from '../../src/servers/applications/framing.js';
import { surpriseOf } from '../../src/instruments/bench/surprise.js';
import { Bench } from '../support/bench.js';
import { Surroundings } from '../support/comparison.js';
import { Program, root } from '../support/program.js';
import { until } from '../support/servers.js';

function reasonNotToRun(): string {
  if (process.platform !== 'linux') return ' — not here: the benchmark is for Linux';
  if (process.env.SELECTORS_NATIVE_SANITIZED) return ' — not here: what is fast is no question under the sanitizers';
  return '';
}
const reason = reasonNotToRun();

// The built file: it starts programs of its own folder.
const built = createRequire(import.meta.url);
const main = join(root, 'dist/instruments/bench/main.js');
const start = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  new Program(process.execPath, [main, ...args], env);

describe.skipIf(reason)(`what runs${reason}`, () => {
  const { builtC } = built('../../dist/instruments/bench/build.js') as typeof buildModule;
  const { ServerProcess, measured } = built('../../dist/instruments/bench/child.js') as typeof childModule;
  const { SUBJECTS } = built('../../dist/instruments/bench/subjects.js') as typeof subjectsModule;
  const { TURN_PROGRAMS } = built('../../dist/instruments/bench/turn-programs.js') as typeof turnsModule;

  interface Loaded {
    readonly messages: number;
    readonly serverCpu: number;
    readonly p50: number;
    readonly p99: number;
  }
  const load = (port: number, workload: string, ...flags: readonly string[]): Promise<Loaded> =>
    measured<Loaded>([builtC('load'), '-t', '0.1', '-w', '0.05', ...flags, workload, String(port)]);

  describe('the clients check every byte', () => {
    let server: Server | undefined;
    afterEach(() => server?.close());
    /** An echo server with a mistake for one of its chunks. */
    async function echoBut(mistake: (chunk: Buffer, socket: Socket) => unknown): Promise<number> {
      let chunks = 0;
      server = createServer({ noDelay: true }, (socket) => {
        socket.on('error', () => socket.destroy());
        socket.on('data', (chunk) => (++chunks === 20 ? mistake(chunk, socket) : socket.write(chunk)));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    }

    it('measures a server that answers every request', async () => {
      const port = await echoBut((chunk, socket) => socket.write(chunk));
      const { messages, p50, p99 } = await load(port, 'echo', '-c', '3', '-s', '1000');
      expect(messages).toBeGreaterThan(50);
      expect(p50).toBeGreaterThan(1);
      expect(p99).toBeGreaterThanOrEqual(p50);
    });

    it.each([
      ['a wrong byte', (chunk: Buffer, socket: Socket) => socket.write(chunk.fill(0, 7, 8)), /wrong data received/],
      ['a missing one', (chunk: Buffer, socket: Socket) => socket.write(chunk.subarray(1)), /wrong data received/],
      [
        'one too many',
        (chunk: Buffer, socket: Socket) => socket.write(Buffer.concat([chunk, chunk.subarray(0, 1)])),
        /wrong data received/,
      ],
      ['the end of the stream', (_: Buffer, socket: Socket) => socket.end(), /the server closed a connection/],
    ] as const)('%s ends the measurement', async (_, mistake, message) => {
      const port = await echoBut(mistake);
      await expect(load(port, 'echo', '-c', '1', '-p', '4')).rejects.toThrow(message);
    });

    it('does not wait for a silent server', async () => {
      const port = await echoBut(() => undefined);
      await expect(load(port, 'echo', '-c', '1')).rejects.toThrow('the server was silent for 5000 milliseconds');
    });

    it.each([
      [['-c', '0', 'echo', '1'], /'0' is not an integer from 1/],
      [['-k', 'x', 'echo', '1'], /'x' is not an integer/],
      [['echo'], /usage: load/],
      [['nonsense', '1'], /unknown workload 'nonsense'/],
      [['-s', '10', 'rpc', '1'], /needs at least 64 bytes, not 10/],
    ] as const)('load %j: a clear error', async (args, message) => {
      await expect(measured([builtC('load'), ...args])).rejects.toThrow(message);
    });
  });

  /** The dependency that it reports missing; null: it can be started. */
  function lackOf(run: () => unknown): string | null {
    try {
      run();
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  describe.each(SUBJECTS)('$name', ({ serves, command }) => {
    const lack = lackOf(() => command(serves[0] ?? 'echo'));
    const why = lack === null ? '' : ` — not here: ${lack}`;

    it.skipIf(lack !== null).each(serves)(
      `serves %s${why}`,
      async (application) => {
        await using server = await ServerProcess.start(command(application));
        const connections = application === 'chat' ? '40' : '10';
        const { messages, serverCpu } = await load(
          server.port,
          application,
          '-c',
          connections,
          '-k',
          String(server.pid),
        );
        expect(messages).toBeGreaterThan(40);
        expect(serverCpu).toBeGreaterThan(0);
        if (application === 'rpc') {
          await load(server.port, 'rpc', '-c', '5', '-p', '16');
          await load(server.port, 'rpc', '-c', '5', '-s', '300000'); // no frame arrives whole
          server.assertServes();
        }
        if (application !== 'echo') return;
        await load(server.port, 'echo', '-c', '20', '-s', '65536');
        await load(server.port, 'echo', '-c', '5', '-p', '16');
        await load(server.port, 'connect', '-c', '5');
        const idle = await measured<{ connections: number; before: number; memory: number }>([
          ...[builtC('load'), '-c', '100', '-k', String(server.pid), 'idle', String(server.port)],
        ]);
        expect(idle.connections).toBe(100);
        expect(Math.min(idle.before, idle.memory)).toBeGreaterThan(100_000);
        server.assertServes();
      },
      30_000,
    );
  });

  it.each(['c-epoll', 'reactor-no-json'])('%s without JSON ends a connection whose frame is no ping', async (name) => {
    const subject = SUBJECTS.find((one) => one.name === name);
    await using server = await ServerProcess.start(subject?.command('rpc') ?? []);
    const ask = async (body: string): Promise<string> => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined); // a reset is an end too
      socket.write(frame(body));
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk);
        socket.end();
      });
      await once(socket, 'close');
      return Buffer.concat(received).toString();
    };
    expect(await ask('{"in":"sleep","params":1}')).toBe('');
    expect((await ask('{"in":"ping","params":[1]}')).slice(4)).toBe('{"out":"pong","result":[1]}');
    expect(await ask('{"in"')).toBe('');
  });

  describe.each(TURN_PROGRAMS)('turns of $name', ({ mechanisms, command }) => {
    const lack = lackOf(() => command('epoll', 1, 1, 1));
    const why = lack === null ? '' : ` — not here: ${lack}`;

    it.skipIf(lack !== null).each(mechanisms)(`%s finds what is ready${why}`, async (mechanism) => {
      const eventfds = ['200', '7', '64'];
      const { turns, ns, ready } = await measured<{ turns: number; ns: number; ready: number }>([
        ...[builtC('with-eventfds'), ...eventfds, ...command(mechanism, 200, 7, 0.1)],
      ]);
      expect(ready).toBe(7);
      expect(turns).toBeGreaterThan(10);
      expect(ns).toBeGreaterThan(50);
    });
  });

  it('with-eventfds reports too few descriptors', async () => {
    await expect(measured([builtC('with-eventfds'), '2000000000', '1', '64', 'true'])).rejects.toThrow(
      /RLIMIT_NOFILE is \d+; \d+ descriptors are needed/,
    );
  });

  describe('the command', () => {
    it('measures, and writes JSON and a page; shows a written file again', async () => {
      using bench = new Bench();
      const folder = bench.folder();
      const [json, html] = [join(folder, 'bench.json'), join(folder, 'bench.html')];
      const args = [
        'echo',
        '--cells',
        '50x64',
        '--subjects',
        'c-epoll,reactor,node-net',
        '--rounds',
        '2',
        '--seconds',
        '0.1',
      ];
      const { stdout, stderr, code } = await start([...args, '--json', json, '--html', html]).ended;
      expect([stderr, code]).toEqual([`the report is in ${html}\n`, 0]);
      for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
      // A table wider than 100 columns continues below, in a second table that repeats the names.
      const cellsOf = (name: string): string[] =>
        stdout
          .split('\n')
          .filter((line) => line.startsWith(`│ ${name} `))
          .flatMap((line) => line.split('│').slice(2, -1))
          .map((cell) => cell.trim());
      for (const cell of [/^\d+\.\d\d +± +\d+\.\d\d$/, /^1\.00 ± 0\.00$/, /^[\d,]+ ± [\d,]+$/, /^\d+ ± \d+ %$/])
        expect(cellsOf('c-epoll')).toContainEqual(expect.stringMatching(cell));
      expect(cellsOf('reactor')).toContainEqual(expect.stringMatching(/^\d+\.\d\d +± /));
      const goal = ['echo 50 x 64', '≤ 1.04 CPU of c-epoll', expect.stringMatching(/^– \d+\.\d{3} ± \d+\.\d{3}$/)];
      expect(cellsOf('echo, epoll')).toEqual(goal); // two rounds show no spread
      expect(stdout.replace(/\s+/g, ' ')).toContain('2 of at least 3 rounds');
      for (const label of ['system', 'processor', 'Node\\.js', 'pinned'])
        expect(stdout).toMatch(new RegExp(`^${label} +\\S`, 'm'));
      const results = JSON.parse(readFileSync(json, 'utf8')) as BenchResults;
      expect(results.served[0]?.failed).toEqual({});
      expect(results.served[0]?.rounds.reactor?.length).toBe(2);
      expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>/i);
      const again = await start(['--from', json]).ended;
      expect(again.stdout).toBe(stdout);
    });

    it('refuses a verdict while another program works', async () => {
      using bench = new Bench();
      // The shell exits at once, so that the program that it has started is no descendant of the benchmark or of this test.
      const spin = 'process.stdout.write(`${process.pid}`); for (const end = Date.now() + 60_000; Date.now() < end;);';
      const shell = spawn('sh', ['-c', '"$0" -e "$1" &', process.execPath, spin]);
      const [pid] = (await once(shell.stdout, 'data')) as [Buffer];
      bench.atEnd(() => process.kill(Number(pid.toString())));
      const args = ['pipelined', '--subjects', 'c-epoll,reactor', '--rounds', '3', '--seconds', '0.1'];
      const { stdout, code } = await start(args).ended;
      expect(code).toBe(0);
      const text = stdout.replace(/\s+/g, ' ');
      expect(text).toMatch(/– pipelined, epoll ≤ 1\.1 CPU of c-epoll: other programs used \d+ % of the processors/);
      expect(text).toMatch(/disturbed: other programs used \d+ %/);
      expect(stdout).not.toMatch(/[✓✗] \d/);
    });

    it('--surprise measures the cells of a seed, and prints how to repeat them', async () => {
      using bench = new Bench();
      const json = join(bench.folder(), 'bench.json');
      const cells = surpriseOf(12)
        .cells.slice(0, 3)
        .map(({ connections, size }) => `${connections}x${size}`);
      const args = ['--surprise', '12', '--cells', cells.join(), '--subjects', 'c-epoll,reactor', '--rounds', '1'];
      const { stdout, code } = await start([...args, '--seconds', '0.1', '--json', json]).ended;
      expect(code).toBe(0);
      const { seed, served } = JSON.parse(readFileSync(json, 'utf8')) as BenchResults;
      expect(seed).toBe(12);
      expect(served.map(({ failed }) => failed)).toEqual([{}, {}, {}]);
      expect(served.map(({ cell }) => cell)).toEqual(cells.map((cell) => `surprise ${cell.replace('x', ' x ')}`));
      const text = stdout.replace(/\s+/g, ' ');
      expect(text).toContain('npm run bench -- --surprise 12 measures the same cells again');
      expect(text).toContain('– surprise, epoll ≤ 1.1 CPU of c-epoll: ');
      const again = await start(['--from', json]).ended;
      expect(again.stdout).toBe(stdout);
    });

    it('cores: one core and two, with the CPU time of server and clients', async () => {
      using bench = new Bench();
      const json = join(bench.folder(), 'bench.json');
      const { stdout, code } = await start(['cores', '--rounds', '1', '--seconds', '0.2', '--json', json]).ended;
      expect(code).toBe(0);
      const [cell] = (JSON.parse(readFileSync(json, 'utf8')) as BenchResults).cores ?? [];
      expect(cell?.failed).toEqual({});
      for (const { name } of CORES_SUBJECTS) {
        const [round] = cell?.rounds[name] ?? [];
        expect(round?.perSecond, name).toBeGreaterThan(1000);
        expect(round?.serverCpu, name).toBeGreaterThan(1);
        expect(round?.clientCpu, name).toBeGreaterThan(1);
        // A clock of CPU time cannot show more than the cores have. 10 %: the windows of the two clients differ.
        const { placement } = CORES_SUBJECTS.find((one) => one.name === name) as CoresSubject;
        expect((round as CoresRound).perSecond, name).toBeLessThan(1.1 * limitOf(round as CoresRound, placement));
      }
      expect(stdout).toContain('multi-proactor, two cores');
    });

    it('--list names the missing subjects, and how to install them', async () => {
      using bench = new Bench();
      const { stdout, code } = await start(['--list'], { PATH: bench.folder(), BUN: '/none', DENO: '', CC: '/none' })
        .ended;
      expect(code).toBe(0);
      const text = stdout.replaceAll('│', ' ').replace(/\s+/g, ' ');
      expect(text).toContain('BUN=/none: no such file');
      expect(text).toMatch(/deno Deno\.listen .*not installed \(npm/);
      expect(text).toMatch(/c-epoll .*no C compiler/);
    });

    it.each([
      [
        ['nonsense'],
        /^error: unknown workload 'nonsense'; there are: echo, middle, pipelined, chat, rpc, http, connect, cores, idle, turns$/m,
      ],
      [['echo', '--cells', '3x3'], /^error: unknown cell 3x3; there are: 1x64, 50x64/m],
      [['--surprise', '-1'], /^error: option '--surprise \[seed\]' argument '-1' is invalid/],
      [['--surprise', 'echo'], /It must be a whole number from 0 to 4294967295/],
      [['--subjects', 'c-epoll,apache'], /Unknown subject 'apache'; there are: c-epoll, c-io_uring/],
      [['--rounds', '0'], /^error: option '--rounds <number>' argument '0' is invalid/],
      [['--seconds', '1e9'], /^error: option '--seconds <seconds>' argument '1e9' is invalid/],
      [['--html', '/none/at/all'], /^error: option '--html <file>' argument '.*' is invalid\. ENOENT/],
      [['--from', '/none/at/all'], /^error: option '--from <file>' argument '.*' is invalid\. ENOENT/],
    ] as const)('%j: a clear error, before anything is started', async (args, message) => {
      const { stdout, stderr, code } = await start(args).ended;
      expect([stdout, code]).toEqual(['', 1]);
      expect(stderr).toMatch(message);
    });

    it('Ctrl-C ends it with all that it has started, and prints the finished part', async () => {
      using bench = new Bench();
      const surroundings = new Surroundings(bench);
      const args = ['pipelined', 'rpc', '--subjects', 'c-epoll,reactor', '--rounds', '1000', '--seconds', '0.1'];
      const program = bench.own(start(args, surroundings.env));
      await until('both serve', () => surroundings.processes().length > 3);
      program.process.kill('SIGINT');
      const { stdout, code } = await program.ended;
      expect(code).toBe(130);
      expect(stdout).toContain('Subjects');
      await until('nothing is left', () => surroundings.leftOver().length === 0);
    });

    it('leaves no server behind when it is killed', async () => {
      using bench = new Bench();
      const surroundings = new Surroundings(bench);
      const args = ['pipelined', '--subjects', 'c-epoll,reactor', '--rounds', '1000', '--seconds', '0.1'];
      const program = bench.own(start(args, surroundings.env));
      await until('both serve', () => surroundings.processes().length > 3);
      program.process.kill('SIGKILL');
      await program.ended;
      await until('nothing is left', () => surroundings.leftOver().length === 0);
    });
  });
});
