/** Comparisons of server models: the figures, checked against other counters. test/long/ has more kinds and counters. */
import { describe, expect, it } from 'vitest';
import { parseLine } from '../src/instruments/compare/strace.js';
import { CONNECTIONS, DIFFERENT_KINDS, available, callsOf, describeFigures, only } from './support/compare-cases.js';
import { compare, perMessage } from './support/comparison.js';
import { isSlowHere } from './support/servers.js';

describeFigures(isSlowHere ? DIFFERENT_KINDS : DIFFERENT_KINDS.slice(0, 1));

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

  it('runs the subjects in turn, and reports progress before each run and at the end', async () => {
    const reported: unknown[] = [];
    const names = ['reactor', 'proactor'];
    const rows = await compare({
      ...{ subjects: names, connections: 1, messages: 10, rounds: 2 },
      onProgress: (...progress) => reported.push(progress),
    });
    expect(rows.map(({ subject, rounds, messages }) => [subject, rounds, messages])).toEqual([
      ['reactor', 2, 10],
      ['proactor', 2, 10],
    ]);
    // Two rounds of timed runs, one of counted runs, and the end.
    const subjects = [...names, ...names, ...names, 'proactor'];
    expect(reported).toEqual(subjects.map((subject, done) => [done, 6, subject]));
    for (const { quartiles, messagesPerSecond } of rows) {
      const [low, high] = quartiles.messagesPerSecond;
      expect(low).toBeLessThanOrEqual(messagesPerSecond);
      expect(high).toBeGreaterThanOrEqual(messagesPerSecond);
    }
  });
});

describe('the log of strace', () => {
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
