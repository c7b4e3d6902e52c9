/**
 * Servers whose system calls fail: transient errors are retried, others end the server and are reported. A few models; the others are in
 * test/long/server-failures.test.ts.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { Program, cli } from './support/program.js';
import {
  commands,
  describeDyingWorkers,
  describeHandOvers,
  describeInterruptions,
  echo,
  echoesOf,
  noLimit,
  serveLimited,
  serveWith,
  started,
  working,
} from './support/server-failures-cases.js';
import { FEW } from './support/servers.js';
import { noStrace } from './support/strace.js';

const few = working.filter((name) => FEW.includes(name));

describe.skipIf(noStrace)(`a call that fails once${noStrace}`, () => {
  it.each(['ENOBUFS'])('process-pool: sendmsg fails with %s: the client waits, and is served', async (error) => {
    using bench = new Bench();
    const program = serveWith(bench, 'sendmsg', `error=${error}:when=1..3`, ['process-pool', '--workers', '1']);
    const [, port] = await program.printed(started);
    for (let i = 0; i < 3; i++) expect(await echo(bench, Number(port))).toBe('hello');
    expect(program.stderr.match(new RegExp(error, 'g'))).toHaveLength(1);
  });

  it.each(['ETOOMANYREFS'])(
    'process-pool: sendmsg fails with %s five times for a worker: it is reported once, and all are served',
    async (error) => {
      using bench = new Bench();
      const program = serveWith(bench, 'sendmsg', `error=${error}:when=2..6`, ['process-pool', '--workers', '1']);
      const [, port] = await program.printed(started);
      for (let i = 0; i < 3; i++) expect(await echo(bench, Number(port))).toBe('hello');
      expect(/has exited/.exec(program.stderr)).toBe(null);
      expect(program.stderr.match(new RegExp(error, 'g'))).toHaveLength(1);
    },
  );

  it('process-pool: recvmsg fails with ENOMEM in a worker: it waits again, and serves', async () => {
    using bench = new Bench();
    const program = serveWith(bench, 'recvmsg', 'error=ENOMEM:when=1..5', ['process-pool', '--workers', '1']);
    const [, port] = await program.printed(started);
    for (let i = 0; i < 3; i++) expect(await echo(bench, Number(port))).toBe('hello');
    expect(program.stderr).toMatch(/ENOMEM.*recvmsg/);
    expect(program.stderr).not.toMatch(/has exited/);
  });

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

describe.skipIf(noStrace)(`a call that fails once while a connection is passed on${noStrace}`, () => {
  describeHandOvers(few);
});

describeDyingWorkers(['thread-pool']);

describe.skipIf(noLimit)(`RLIMIT_MEMLOCK is too small for the rings${noLimit}`, () => {
  const NONE = 65_536;

  it.each(commands)('serve %s: serves with the emulation', async (args) => {
    using bench = new Bench();
    const program = serveLimited(bench, NONE, args);
    expect(await echoesOf(bench, program)).toMatch(/emulated:/);
    expect(program.stderr).toBe('');
  });

  it.each(commands)('serve %s --mechanism io_uring: the error names the limit', async (args) => {
    using bench = new Bench();
    const { code, stdout, stderr } = await serveLimited(bench, NONE, `${args} --mechanism io_uring`).ended;
    expect(stderr).toMatch(/RLIMIT_MEMLOCK = 65536 bytes; ulimit -l raises it/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describeInterruptions(few);

describe.skipIf(process.platform === 'win32')('Ctrl-C', () => {
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

  it('a request that blocks the thread: the second Ctrl-C ends the server', async () => {
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
    expect(await program.interruptUntilEnded()).toEqual([null, 'SIGINT']);
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

  it('chat: reports that the server has ended', async () => {
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
