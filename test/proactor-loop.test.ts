/** What only the proactor loop has: its system calls per connection, and the operations of its proactor. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ProactorLoop, Socket, availableMechanisms, createProactor } from '../src/index.js';
import { FD_SETSIZE } from '../src/syscalls.js';
import { Bench } from './support/bench.js';
import { throwsCode } from './support/expect.js';
import { Program, cli } from './support/program.js';
import { proactorRows } from './support/proactors.js';
import { noStrace } from './support/strace.js';

const ring = availableMechanisms().find(({ mechanism }) => mechanism === 'io_uring');
const noRing = ring?.available === true ? noStrace : ` — not here: ${ring?.why}`;

const CONNECTIONS = 400;
const ROUNDS = 75;
const MESSAGES = CONNECTIONS * ROUNDS;
const MESSAGE = Buffer.alloc(64, 'm');

/** Is the process stopped? @throws if it has ended */
function isStopped(pid: number): boolean {
  const [, state = ''] = /^\d+ \(.*\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
  if (/[ZX]/.test(state)) throw new Error('the server has ended');
  return /[Tt]/.test(state);
}

/**
 * Echoes MESSAGES messages. The server is stopped while a round of them is sent: how many it finds in a turn does not depend on how busy this
 * machine is.
 */
function exchange(port: number, server: number): void {
  using bench = new Bench();
  const clients = Array.from({ length: CONNECTIONS }, () => {
    const client = bench.own(new Socket());
    client.timeout = 60_000;
    client.connect({ host: '127.0.0.1', port });
    return client;
  });
  for (let round = 0; round < ROUNDS; round++) {
    process.kill(server, 'SIGSTOP');
    while (!isStopped(server));
    for (const client of clients) client.sendAll(MESSAGE);
    process.kill(server, 'SIGCONT');
    for (const client of clients) {
      for (let missing = MESSAGE.length; missing > 0;) {
        const { length } = client.recv(missing) ?? [];
        if (length === 0) throw new Error('the server has closed a connection');
        missing -= length;
      }
    }
  }
}

/**
 * The system calls of an io_uring server from listen until the signal that ends it: how many, and the last line of each with the one before
 * it in its thread.
 */
async function callsOfServer(): Promise<{ counts: Map<string, number>; seen: Map<string, string> }> {
  using bench = new Bench();
  const log = join(bench.folder(), 'strace');
  const serve = [cli, 'serve', 'proactor', '--app', 'echo', '--mechanism', 'io_uring', '--port', '0'];
  const program = bench.own(new Program('strace', ['-f', '-qq', '-o', log, process.execPath, ...serve]));
  const [, port] = await program.printed(/listening on 127\.0\.0\.1:(\d+) \(proactor, echo, io_uring\)/);
  // strace ignores signals while it writes to a file.
  const { pid } = program.process;
  const server = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  exchange(Number(port), server);
  process.kill(server, 'SIGINT');
  expect(await program.ended).toMatchObject({ code: 0, stderr: '' });

  const lines = readFileSync(log, 'utf8').split('\n'); // `PID call(…`
  const from = lines.findIndex((line) => line.includes(' listen('));
  const to = lines.findIndex((line) => line.includes('--- SIGINT'));
  const counts = new Map<string, number>();
  const seen = new Map<string, string>();
  const last = new Map<string, string>(); // last call by thread
  for (const line of lines.slice(from, to < from ? undefined : to)) {
    const [, thread = '', call = ''] = /^(\d+) +(?:<\.\.\. )?(\w+)/.exec(line) ?? [];
    const before = last.get(thread) ?? '';
    last.set(thread, line);
    // A file that glibc or Node.js looks at: overcommit_memory before malloc returns memory (check_may_shrink_heap), limits of a cgroup.
    if (call === 'read' && before.includes('openat')) continue;
    // Waits of Node.js's other threads, which SIGSTOP interrupts, start again.
    if (/^(futex|epoll_pwait)$/.test(call) && thread !== String(server)) continue;
    if (!line.includes(`${call}(`)) continue;
    counts.set(call, (counts.get(call) ?? 0) + 1);
    seen.set(call, `${before}\n${line}`);
  }
  return { counts, seen };
}

describe('uses io_uring for real', () => {
  it.skipIf(noRing)(
    `an io_uring server enters the ring, and never calls recv, send, accept or a readiness wait: below 0.1 system calls per message${noRing}`,
    async () => {
      const { counts, seen } = await callsOfServer();
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      process.stdout.write(
        `   ${MESSAGES} messages: ${total} system calls, ${counts.get('io_uring_enter')} io_uring_enter\n`,
      );
      expect(counts.get('io_uring_enter')).toBeGreaterThan(10);
      const others = ['recv', 'recvfrom', 'recvmsg', 'read', 'readv', 'send', 'sendto', 'sendmsg', 'writev'];
      for (const call of [...others, 'accept', 'accept4', 'epoll_wait', 'epoll_pwait', 'poll', 'select', 'pselect6'])
        expect(counts.get(call) ?? 0, seen.get(call)).toBe(0);
      expect(total / MESSAGES).toBeLessThan(0.1);
    },
  );
});

describe.each(proactorRows.filter(({ create }) => create !== undefined))(
  'operations of the loop’s own proactor, $mechanism',
  ({ mechanism }) => {
    const create = () => new ProactorLoop({ proactor: createProactor(mechanism) });

    it('whenDone: called in the turn of the completion, once, while connections are served', () => {
      using bench = new Bench();
      using loop = create();
      const path = join(bench.folder(), 'file');
      writeFileSync(path, 'contents of a file');
      const fd = openSync(path, 'r');
      bench.atEnd(() => {
        closeSync(fd);
      });
      const said: string[] = [];
      const { address } = loop.listen({}, { data: (connection, chunk) => void connection.write(chunk) });
      loop.connect(address, {
        open: (connection) => void connection.write('over the wire'),
        data(connection, chunk) {
          said.push(chunk.toString());
          connection.end();
        },
      });
      const reading = loop.proactor.read(fd, 100, 0);
      loop.whenDone(reading, () => said.push(String(reading.result)));
      const waiting = loop.proactor.timeout(5);
      loop.whenDone(waiting, () => said.push('time'));
      const deadline = loop.now() + 10_000;
      while (said.length < 3 && loop.now() < deadline) loop.runOnce(1000);
      loop.runOnce(20);
      expect([...said].sort()).toEqual(['contents of a file', 'over the wire', 'time']);
      expect(() => loop.whenDone(reading, () => undefined)).toThrow('completed already');
    });

    it('whenDone inside Node: also for an operation that completes at once, and for a timeout in an idle loop', async () => {
      using bench = new Bench();
      using loop = create();
      const ended = loop.start();
      const path = join(bench.folder(), 'file');
      writeFileSync(path, 'contents of a file');
      const fd = openSync(path, 'r');
      bench.atEnd(() => {
        closeSync(fd);
      });
      const reading = loop.proactor.read(fd, 100, 0);
      await new Promise<void>((resolve) => loop.whenDone(reading, resolve));
      expect(String(reading.result)).toBe('contents of a file');
      const waiting = loop.proactor.timeout(30);
      await new Promise<void>((resolve) => loop.whenDone(waiting, resolve));
      const canceled = loop.proactor.timeout(60_000);
      setImmediate(() => canceled.cancel());
      await new Promise<void>((resolve) => loop.whenDone(canceled, resolve));
      expect(canceled.error?.code).toBe('ECANCELED');
      loop.stop();
      await ended;
    });

    it('a caller’s wait on the loop’s proactor returns the caller’s operations, and the loop gets its own', async () => {
      using bench = new Bench();
      using loop = create();
      const received: string[] = [];
      const { address } = loop.listen({}, { data: (_connection, chunk) => void received.push(chunk.toString()) });
      const client = bench.own(new Socket());
      client.connect(address);
      const ended = loop.start();
      await sleep(20);
      client.send('meanwhile');
      const [a, b] = bench.pair();
      const waiting = loop.proactor.recv(a, 1);
      const collected = loop.proactor.waitAsync();
      for (let i = 0; i < 3; i++) expect(loop.proactor.wait(0)).toEqual([]);
      b.send('x');
      expect(await collected).toEqual([waiting]);
      while (received.length === 0) await sleep(1);
      expect(received).toEqual(['meanwhile']);
      loop.stop();
      await ended;
    });

    it('more clients at once than a turn holds, inside Node: all are reported', async () => {
      using bench = new Bench();
      using loop = create();
      const CLIENTS = mechanism === 'emulated:select' || process.platform === 'win32' ? 100 : 1200;
      let opened = 0;
      const { address } = loop.listen(
        { backlog: 4096 },
        {
          open() {
            opened++;
          },
        },
      );
      const ended = loop.start();
      await sleep(20);
      for (let i = 0; i < CLIENTS; i++) bench.own(new Socket()).connect(address);
      while (opened < CLIENTS) await sleep(1);
      loop.stop();
      await ended;
    });

    it('a proactor has one loop, and a closed one none', () => {
      const proactor = createProactor(mechanism);
      using _loop = new ProactorLoop({ proactor });
      expect(() => new ProactorLoop({ proactor })).toThrow(/belongs to a loop/);
      const closed = createProactor(mechanism);
      closed.close();
      expect(() => new ProactorLoop({ proactor: closed })).toThrow(/closed/);
    });
  },
);

/** Windows' fd_set limits the number of members, not their values. */
const noLimit = process.platform === 'win32' ? ' — not here: an fd_set of Windows takes any number' : '';

it.skipIf(noLimit)(
  `a descriptor that the selector under the emulation refuses: the listener pauses, the error keeps its name, the loop does not spin${noLimit}`,
  () => {
    using bench = new Bench();
    const errors: unknown[] = [];
    using loop = new ProactorLoop({
      proactor: createProactor('emulated:select'),
      onError: (error) => errors.push(error),
    });
    for (let i = 0; i < FD_SETSIZE + 10; i++) bench.own(new Socket());
    loop.listen({}, {});
    const deadline = loop.now() + 10_000;
    while (errors.length === 0 && loop.now() < deadline) loop.runOnce(100);
    expect(errors[0]).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    let turns = 0;
    for (const end = loop.now() + 500; loop.now() < end; turns++) loop.runOnce(50);
    expect(turns).toBeLessThan(100);
  },
);

it.skipIf(noLimit)(
  `given such a descriptor, adopt() and listen() throw, and the caller still owns it${noLimit}`,
  () => {
    using bench = new Bench();
    using loop = new ProactorLoop({ proactor: createProactor('emulated:select') });
    for (let i = 0; i < FD_SETSIZE + 10; i++) bench.own(new Socket());
    const listener = bench.listener({});
    const client = bench.own(new Socket());
    client.connect(listener.localAddress);
    throwsCode('ERR_OUT_OF_RANGE', () => loop.adopt(client, {}));
    throwsCode('ERR_OUT_OF_RANGE', () => loop.listen({ socket: listener }, {}));
    expect([client.blocking, listener.blocking]).toEqual([true, true]);
    expect(loop.runOnce(0)).toBe(0);
  },
);
