/** Comparisons of server models: kinds and counters that test/compare.test.ts omits. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import { DIFFERENT_KINDS, OTHER_KINDS, available, callsOf, describeFigures, only } from '../support/compare-cases.js';
import { CallCounter, Load, MeasuredServer, perMessage, subjectNamed } from '../support/comparison.js';
import { isSlowHere } from '../support/servers.js';
import { noRingFaults, noStrace } from '../support/strace.js';

describeFigures([...(isSlowHere ? [] : DIFFERENT_KINDS.slice(1)), ...OTHER_KINDS]);

describe('compare()', () => {
  it('a completion port or a ring takes several messages per call, or one overlapped operation each', async () => {
    const name = available.find(({ mechanism }) => mechanism === 'io_uring' || mechanism === 'iocp')?.name;
    if (name === undefined) return expect(available.map(({ mechanism }) => mechanism)).not.toContain('io_uring');
    const row = await only(name);
    expect(callsOf(row, 'recvfrom', 'recv', 'sendto', 'send'), 'those are of readiness').toBe(0);
    expect(callsOf(row, 'io_uring_enter', 'GetQueuedCompletionStatusEx')).toBeGreaterThan(0);
  });

  it.skipIf(noStrace !== '')(
    `node:net is counted by strace: one read and one write per message${noStrace}`,
    async () => {
      const row = await only('node:net', { messages: 2000 });
      expect(callsOf(row, 'read')).toBeGreaterThanOrEqual(0.99);
      expect(callsOf(row, 'read')).toBeLessThan(1.1);
      expect(callsOf(row, 'write')).toBeGreaterThanOrEqual(0.99);
      expect(callsOf(row, 'write')).toBeLessThan(1.1);
      expect(row.counted).toBe('counted by strace, over 2,000 messages in a separate run');
    },
  );

  it('without strace, node:net has all figures except the system calls', async () => {
    using bench = new Bench();
    const path = process.env.PATH ?? '';
    process.env.PATH = bench.folder();
    bench.atEnd(() => (process.env.PATH = path));
    const row = await only('node:net');
    expect(row).toMatchObject({ syscalls: [], syscallsPerMessage: NaN });
    expect(row.counted).toMatch(/^not counted: .*strace.*/);
    expect(row.messagesPerSecond).toBeGreaterThan(0);
  });

  it('http: every subject exchanges a GET per message, also one that arrives in pieces', async () => {
    const names = available.filter(({ http }) => http !== undefined).map(({ name }) => name);
    expect(names).toContain('http:node');
    for (const name of names) {
      const row = await only(name, { connections: 3, messages: 30, size: 12_000 });
      expect(row.messages, name).toBe(30);
    }
  });

  it.each([
    ['a wrong body', (response: ServerResponse) => response.end('/xxy'), /the body of the reply is not the path/],
    ['another length', (response: ServerResponse) => response.end('/xx'), /the reply is no 200 with 4 bytes/],
    ['another status', (response: ServerResponse) => response.writeHead(404).end('/xxx'), /the reply is no 200/],
  ] as const)('http: %s ends the measurement', async (_, answer, message) => {
    const server = createServer((_, response) => void answer(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const work = { port, connections: 1, messages: 1, size: 4, isHttp: true };
    await expect(Load.ready(work)).rejects.toThrow(message);
    server.close();
  });

  it('rounds messages up to a multiple of the connections; a large message comes back whole', async () => {
    const row = await only('reactor', { connections: 3, messages: 10, size: 300_000 });
    expect(row.messages).toBe(12);
  });
});

describe('compare() and strace count the same', () => {
  /** Calls that Node itself does not make: its loop waits in epoll_pwait and reads its pipes with read. */
  const OURS: Readonly<Record<string, readonly string[]>> = {
    'reactor:epoll': ['epoll_wait', 'recvfrom', 'sendto', 'accept4'],
    'proactor:io_uring': ['io_uring_enter', 'io_uring_setup'],
  };
  const names = Object.keys(OURS).filter((name) => noStrace !== '' || available.some((row) => row.name === name));

  /** The server's calls without Node's own. */
  const reasonOf = (name: string): string => (name === 'proactor:io_uring' ? noRingFaults : noStrace);

  it.for(names)('%s, under strace -f -c, call for call', async (name, context) => {
    context.skip(reasonOf(name) !== '', reasonOf(name));
    using bench = new Bench();
    const file = join(bench.folder(), 'counts');
    const wrapper = ['strace', '-f', '-qq', '-c', '-o', file];
    await using server = await MeasuredServer.start(subjectNamed(name), { isTraced: true, wrapper });
    if (server.trace === null) throw new Error('it is not traced');
    using counter = new CallCounter(server.trace);
    const run = { port: server.port, connections: 20, messages: 4000, size: 64, warmUp: 2 };
    const load = await Load.ready(run);
    const result = await load.run();
    const during = counter.between(result.begun, result.ended);
    await load[Symbol.asyncDispose]();
    await server.end();
    // Over the whole run: strace -c has no time range.
    const all = counter.all();
    const seen = straceCounts(readFileSync(file, 'utf8'));
    expect(server.trace.dropped).toBe(0);
    for (const call of OURS[name] ?? []) expect(all.get(call), call).toBe(seen.get(call));
    const [main = ''] = OURS[name] ?? [];
    expect(all.get(main)).toBeGreaterThan(80);
    if (name !== 'reactor:epoll') return;
    // So do the figures of the table, which count only the messages of the measured work.
    const total = (counts: ReadonlyMap<string, number>) =>
      ['epoll_wait', 'recvfrom', 'sendto'].reduce((sum, call) => sum + (counts.get(call) ?? 0), 0);
    const figure = perMessage(during, result, '').syscallsPerMessage;
    const messages = result.messages + run.warmUp * run.connections;
    expect(figure / (total(seen) / messages)).toBeGreaterThan(0.98);
    expect(figure / (total(seen) / messages)).toBeLessThan(1.02);
  });

  /** strace -c: `% time  seconds  usecs/call  calls  errors  syscall`, errors may be empty. */
  function straceCounts(table: string): Map<string, number> {
    const rows = Array.from(table.matchAll(/^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$/gm));
    return new Map(rows.map(([, calls, call]) => [call ?? '', Number(calls)]));
  }
});
