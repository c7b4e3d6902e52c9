/**
 * Loops that accept on one port (SO_REUSEPORT) have nothing to do with each other: strace shows that no thread but the one that serves a
 * connection makes a call for it, and that no lock is waited for. The model that distributes connections is the counter-example.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import { childrenOf } from '../support/processes.js';
import { Program, root } from '../support/program.js';
import { SERVER_MODELS } from '../support/servers.js';
import { noStrace } from '../support/strace.js';

const CONNECTIONS = 100;
const MESSAGES = 20;
/** Connections before the count, so that V8 has compiled what it will. */
const WARM_UP_ROUNDS = 6;
const WORKERS = 2;
/** Calls of V8's own threads: they compile and collect garbage, now and then, for any number of messages. */
const OF_V8 = ['futex', 'mprotect', 'madvise', 'mmap', 'munmap', 'getpid', 'gettid', 'sched_yield'];

async function exchange(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  for (let i = 0; i < MESSAGES; i++) {
    socket.write('x'.repeat(64));
    await once(socket, 'data');
  }
  socket.end();
  socket.resume();
  await once(socket, 'close');
}

const exchangeAll = (port: number): Promise<unknown> =>
  Promise.all(Array.from({ length: CONNECTIONS }, () => exchange(port)));

type Counts = Readonly<Record<string, number>>;

/** The calls of each thread that began between two times, in seconds since 1970: `123 1700000000.123456 read(…`. */
function callsOf(log: string, begun: number, ended: number): readonly Counts[] {
  const threads = new Map<string, Record<string, number>>();
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [, thread = '', at, name] = /^(\d+) +(\d+\.\d+) (\w+)\(/.exec(line) ?? [];
    if (name === undefined || Number(at) < begun || Number(at) > ended) continue;
    const counts = threads.get(thread) ?? {};
    threads.set(thread, counts);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return [...threads.values()];
}

/** Serves CONNECTIONS connections, MESSAGES each, under strace. @returns the calls of each thread meanwhile */
async function counted(model: string, options: readonly string[]): Promise<readonly Counts[]> {
  using bench = new Bench();
  const log = join(bench.folder(), 'log');
  const cli = join(root, 'dist/cli/main.js');
  const serve = ['serve', model, '--workers', String(WORKERS), '--port', '0', ...options];
  const strace = ['-f', '-qq', '-ttt', '-s', '0', '-o', log, process.execPath, cli, ...serve];
  const program = bench.own(new Program('strace', strace));
  const [, port] = await program.printed(/listening on 127\.0\.0\.1:(\d+)/);
  for (let i = 0; i < WARM_UP_ROUNDS; i++) await exchangeAll(Number(port));
  await sleep(500); // what V8 compiles in the background
  const begun = Date.now() / 1000;
  await exchangeAll(Number(port));
  const ended = Date.now() / 1000;
  for (const server of childrenOf(program.process.pid ?? -1)) process.kill(server, 'SIGINT'); // strace itself ignores it
  await program.ended;
  return callsOf(log, begun, ended);
}

const sum = (threads: readonly Counts[], name: string): number =>
  threads.reduce((total, counts) => total + (counts[name] ?? 0), 0);
const others = (counts: Counts): Counts =>
  Object.fromEntries(Object.entries(counts).filter(([name]) => !OF_V8.includes(name)));

/** Threads that have received from a client. */
const isServing = (counts: Counts): boolean => (counts.recvfrom ?? counts.io_uring_enter ?? 0) > MESSAGES;

describe.skipIf(noStrace)(`loops on several cores${noStrace}`, () => {
  const available = ['multi-reactor', 'multi-process-reactor', 'multi-proactor'].filter((name) =>
    SERVER_MODELS.some((row) => row.name === name && row.isAvailable),
  );

  it.each(available)(
    '%s with SO_REUSEPORT: only the thread that serves a connection makes a call for it',
    async (model) => {
      const threads = await counted(model, ['--accept', 'reuseport']);
      const serving = threads.filter(isServing);
      expect(serving.length).toBe(WORKERS);
      // No message to the first thread or the supervisor, no wake-up of another thread, no accept for another one.
      for (const counts of threads.filter((one) => !isServing(one))) expect(others(counts)).toEqual({});
      for (const counts of serving) {
        expect(counts.write ?? 0).toBe(0); // of an eventfd or a pipe: sockets are written to by send(2)
        expect(counts.read ?? 0).toBe(0);
      }
      // Neither per message nor per connection.
      expect(sum(threads, 'futex')).toBeLessThan(CONNECTIONS / 2);
      if (model !== 'multi-proactor') expect(sum(threads, 'sendto')).toBe(CONNECTIONS * MESSAGES);
    },
  );

  it('multi-reactor that distributes, for comparison: the first thread accepts and wakes, for each connection', async () => {
    const threads = await counted('multi-reactor', []);
    expect(threads.filter(isServing).length).toBe(WORKERS);
    const [distributing] = threads.filter((one) => !isServing(one) && (one.accept4 ?? 0) > 0);
    expect(distributing?.accept4).toBeGreaterThanOrEqual(CONNECTIONS);
    expect(distributing?.write).toBe(CONNECTIONS);
  });
});
