/**
 * Post 003: how many of a server's processes one connection wakes, by accept strategy.
 *
 * An empty wake-up is a process that wakes and finds no connection to accept. Linux checks again before select, poll or epoll_wait returns:
 * a process that is too late goes back to sleep without returning. Its context switches count those, too.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { AcceptStrategy, ServerStats, WorkerStats } from '../src/servers.js';
import { Client } from './support/client.js';
import { ACCEPT_STRATEGIES, createServer, isSlowHere, until } from './support/servers.js';

const isLinux = process.platform === 'linux';
const PROCESSES = isSlowHere ? 3 : 8;
const CONNECTIONS = isSlowHere ? 60 : 150;

interface Herd {
  readonly stats: ServerStats;
  /** Wake-ups without a connection to accept, per connection. */
  readonly empty: number;
  /** Voluntary context switches per connection; undefined where the system does not report them. */
  readonly switches: number | undefined;
  /** The number of connections of each process, in descending order. */
  readonly shares: readonly number[];
}

/** A line of /proc/PID/task/PID/status, which is about the process's main thread. */
function statusOf(pid: number, line: RegExp): string | undefined {
  return line.exec(readFileSync(`/proc/${pid}/task/${pid}/status`, 'utf8'))?.[1];
}

const voluntarySwitchesOf = (pid: number): number => Number(statusOf(pid, /^voluntary_ctxt_switches:\s+(\d+)/m));
/** Whether the main thread sleeps in a system call. One that was woken, and waits for a processor, does not. */
const isAsleep = (pid: number): boolean => statusOf(pid, /^State:\s+(\w)/m) === 'S';

async function herdOf(accept: AcceptStrategy): Promise<Herd> {
  await using server = createServer('prefork', { workers: PROCESSES, accept });
  const address = await server.listen();
  const pids = (await server.workers()).filter(({ role }) => role === 'work').map(({ id }) => id);
  const switches = (): number => pids.reduce((sum, pid) => sum + voluntarySwitchesOf(pid), 0);
  const before = isLinux ? switches() : 0;
  for (let i = 0; i < CONNECTIONS; i++) {
    // A process that is still awake may accept a connection for which another one is woken.
    while (isLinux && !pids.every(isAsleep)) await nextTurn();
    const client = await Client.connect(address);
    client.write(Buffer.from('x'));
    await client.received(1);
    client.socket.end();
    await once(client.socket, 'close');
  }
  await until('all connections are over', async () => (await server.stats()).open === 0);
  const woken = isLinux ? (switches() - before) / CONNECTIONS : undefined;
  const stats = await server.stats();
  const workers: readonly WorkerStats[] = await server.workers();
  const shares = workers.filter(({ role }) => role === 'work').map(({ accepted }) => accepted);
  const empty = stats.emptyWakeups / CONNECTIONS;
  return { stats, empty, switches: woken, shares: shares.sort((a, b) => b - a) };
}

const herds = new Map<AcceptStrategy, Herd>();

describe('the thundering herd', () => {
  afterAll(() => {
    const rows = [...herds].map(([name, { empty, switches, shares }]) => ({
      'how they accept': name,
      'empty wake-ups a connection': empty.toFixed(3),
      'context switches per connection': switches?.toFixed(2) ?? 'not reported here',
      'connections of each process': shares.join(' '),
    }));
    console.log(`${PROCESSES} processes, ${CONNECTIONS} connections, one after the other`);
    console.table(rows);
  });

  for (const { name, isAvailable, why } of ACCEPT_STRATEGIES) {
    it.skipIf(!isAvailable)(
      `R27 ${name}: each connection is accepted once, and empty wake-ups are counted${isAvailable ? '' : ` (${why})`}`,
      async () => {
        const herd = await herdOf(name);
        herds.set(name, herd);
        const { accepted, bytesIn, bytesOut, lost } = herd.stats;
        expect({ accepted, bytesIn, bytesOut, lost }).toEqual({
          accepted: CONNECTIONS,
          bytesIn: CONNECTIONS,
          bytesOut: CONNECTIONS,
          lost: 0,
        });
        expect(herd.shares).toHaveLength(PROCESSES);
        expect(herd.shares.reduce((sum, share) => sum + share)).toBe(CONNECTIONS);
      },
      120_000,
    );
  }

  it('R27 one connection wakes several processes only with thundering-herd', () => {
    // Only one process waits: the holder of the lock, or the owner of its own socket.
    for (const alone of ['lock', 'reuseport'] as const) expect(herds.get(alone)?.empty ?? 0).toBe(0);
    const all = herds.get('thundering-herd');
    const one = herds.get('exclusive');
    if (all?.switches === undefined || one?.switches === undefined) return;
    expect(all.switches).toBeGreaterThan(PROCESSES);
    expect(all.switches).toBeGreaterThan(1.2 * one.switches);
    expect(one.empty).toBeLessThan(0.05);
  });

  it('R28 EPOLLEXCLUSIVE is uneven: with connections one after the other, a few processes get most of them', (context) => {
    const herd = herds.get('exclusive');
    if (herd === undefined) return context.skip('there is no EPOLLEXCLUSIVE here');
    // The kernel wakes the process that started to wait last (puma/puma#3934).
    expect(herd.shares[0]).toBeGreaterThan((2 * CONNECTIONS) / PROCESSES);
  });
});
