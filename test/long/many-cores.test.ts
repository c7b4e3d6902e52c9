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
/** Calls that pass a connection or a byte of it. */
const OF_SOCKETS = ['accept4', 'recvfrom', 'sendto', 'recvmsg', 'sendmsg'];
/** Calls that wake another thread, or wait for it. V8 and Node make them too: now and then, and more often on a busy machine. */
const OF_THREADS = ['write', 'read', 'epoll_wait', 'epoll_pwait', 'futex'];

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

const sum = (counts: Counts, names: readonly string[]): number =>
  names.reduce((total, name) => total + (counts[name] ?? 0), 0);

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
      for (const counts of threads.filter((one) => !isServing(one))) {
        expect(sum(counts, OF_SOCKETS)).toBe(0);
        // No message to the first thread or the supervisor, no wake-up: those would be one per connection at least.
        expect(sum(counts, OF_THREADS), JSON.stringify(counts)).toBeLessThan(CONNECTIONS);
      }
      for (const counts of serving) {
        expect(counts.write ?? 0).toBe(0); // of an eventfd or a pipe: sockets are written to by send(2)
        expect(counts.read ?? 0).toBe(0);
        // A thread serves half of the connections, more or less; a lock would be waited for twice for each.
        expect(counts.futex ?? 0, JSON.stringify(counts)).toBeLessThan(CONNECTIONS);
        expect(counts.sendto ?? 0).toBeLessThanOrEqual(counts.recvfrom ?? 0);
      }
    },
  );

  it('multi-reactor that distributes, for comparison: the first thread accepts and wakes, for each connection', async () => {
    const threads = await counted('multi-reactor', []);
    expect(threads.filter(isServing).length).toBe(WORKERS);
    const [distributing] = threads.filter((one) => !isServing(one) && (one.accept4 ?? 0) > 0);
    expect(distributing?.accept4).toBeGreaterThanOrEqual(CONNECTIONS);
    expect(distributing?.write).toBeGreaterThan(CONNECTIONS / 2); // one wakes for several, now and then
  });
});
