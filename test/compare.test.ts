/** Comparisons of server models: the figures, checked against other counters. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLine } from '../src/instruments/compare/strace.js';
import type { ComparisonRow } from '../src/trace.js';
import { Bench } from './support/bench.js';
import { CONNECTIONS, DIFFERENT_KINDS, available, describeFigures, only } from './support/compare-cases.js';
import { CallCounter, Load, MeasuredServer, compare, perMessage, subjectNamed } from './support/comparison.js';
import { noRingFaults, noStrace } from './support/strace.js';

const callsOf = ({ syscalls }: ComparisonRow, ...names: readonly string[]): number =>
  syscalls.filter(({ name }) => names.includes(name)).reduce((sum, { perMessage: calls }) => sum + calls, 0);

describeFigures(DIFFERENT_KINDS);

describe('compare()', () => {
  const noEpoll = available.some(({ name }) => name === 'reactor:epoll') ? '' : ' — not here: there is no epoll';
  it.skipIf(noEpoll !== '')(
    `reactor:epoll makes one recvfrom and one sendto per message, and fewer waits than messages${noEpoll}`,
    async () => {
      const row = await only('reactor:epoll', { messages: 4000 });
      expect(callsOf(row, 'recvfrom')).toBe(1);
      expect(callsOf(row, 'sendto')).toBe(1);
      expect(callsOf(row, 'epoll_wait')).toBeGreaterThanOrEqual(1 / CONNECTIONS);
      expect(callsOf(row, 'epoll_wait')).toBeLessThan(1.2);
      expect(callsOf(row, 'accept4', 'epoll_ctl'), 'what came before the first message').toBe(0);
      expect(row.counted).toBe("counted by this package's trace, over 4,000 messages in a separate run");
    },
  );

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

  it('reports progress before each run and at the end: how many are done, and which subject is next', async () => {
    const reported: unknown[] = [];
    const names = ['reactor', 'proactor'];
    const rows = await compare({
      subjects: names,
      connections: 1,
      messages: 10,
      onProgress: (...progress) => reported.push(progress),
    });
    expect(rows.map(({ subject }) => subject)).toEqual(names);
    expect(reported).toEqual([
      ...[
        [0, 4, 'reactor'],
        [1, 4, 'reactor'],
      ],
      ...[
        [2, 4, 'proactor'],
        [3, 4, 'proactor'],
        [4, 4, 'proactor'],
      ],
    ]);
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

  it('parses what strace -f -ttt -T prints: calls that have returned', () => {
    const returned = (line: string) => parseLine(line)?.returned.toFixed(3);
    expect(parseLine('123 1700000000.000100 read(17, ""..., 65536) = 64 <0.000012>')?.name).toBe('read');
    expect(returned('123 1700000000.000100 read(17, ""..., 65536) = 64 <0.000012>')).toBe('1700000000000.112');
    expect(parseLine('123 1700000000.000100 epoll_pwait(13,  <unfinished ...>')).toBe(null);
    const resumed =
      '7 1700000000.000500 <... epoll_pwait resumed>[{events=EPOLLIN}], 1024, -1, NULL, 8) = 1 <0.000543>';
    expect(parseLine(resumed)?.name).toBe('epoll_pwait');
    expect(returned(resumed)).toBe('1700000000000.500');
    for (const other of ['', '123 1700000000.000100 +++ exited with 0 +++', '123 1700000000.0 exit_group(0) = ?'])
      expect(parseLine(other)).toBe(null);
  });

  it('estimates lost calls from the others, and reports that', () => {
    const result = { messages: 100 } as Parameters<typeof perMessage>[1];
    const calls = new Map([
      ['recvfrom', 300],
      ['sendto', 100],
    ]);
    expect(perMessage(calls, result, 'counted', 100)).toEqual({
      syscalls: [
        { name: 'recvfrom', perMessage: 3.75 },
        { name: 'sendto', perMessage: 1.25 },
      ],
      syscallsPerMessage: 5,
      counted: expect.stringContaining('20.0 % of them were dropped'),
    });
  });
});
