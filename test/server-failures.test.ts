/** What a server does when the system refuses what it asks for: what is transient is tried again, what is not ends it with the reason. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { childrenOf } from './support/processes.js';
import { Program, cli } from './support/program.js';
import { noStrace } from './support/strace.js';

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

describe.skipIf(process.platform === 'win32')('Ctrl-C at any moment', () => {
  it.each(['multi-reactor', 'prefork', 'thread-pool'])(
    '%s: leaves neither a folder nor a process behind',
    async (model) => {
      using bench = new Bench();
      const folder = bench.folder();
      await Promise.all(
        [60, 120, 180, 240].map(async (ms) => {
          const args = [cli, 'serve', model, '--workers', '2', '--port', '0'];
          const program = bench.own(new Program(process.execPath, args, { TMPDIR: folder }));
          await new Promise((resolve) => setTimeout(resolve, ms));
          const children = childrenOf(program.process.pid ?? -1);
          program.process.kill('SIGTERM');
          await program.ended;
          for (const child of children) expect(childrenOf(child)).toEqual([]);
        }),
      );
      expect(readdirSync(folder)).toEqual([]);
    },
  );

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
    await new Promise((resolve) => setTimeout(resolve, 200));
    program.process.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 400));
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
