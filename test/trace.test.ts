/** The trace of one thread: the fields of a record, the capacity, start and stop. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EVENT_READ, createSelector } from '../src/index.js';
import { native } from '../src/native.js';
import { POLLIN, Poll, constants } from '../src/syscalls.js';
import { type SyscallRecord, startTrace } from '../src/trace.js';
import { Bench } from './support/bench.js';
import { throwsCode } from './support/expect.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { IS_OPEN, NOBODY, RECV, SEND, marksOf } from './support/traces.js';

const isLinux = process.platform === 'linux';
const mechanisms = readinessMechanisms.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));

/** Makes failing calls that are recognized by their numbers. */
function mark(...numbers: readonly number[]): void {
  for (const number of numbers) native.isOpen(NOBODY + number);
}
const marks = (records: readonly SyscallRecord[]): number[] => marksOf(records).map((number) => number - NOBODY);
const range = (end: number): number[] => Array.from({ length: end }, (_, i) => i);

describe('a record', () => {
  it('has the call’s name, arguments, result, error, process and thread', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    using trace = startTrace();
    a.send('hello');
    b.recv(100);
    b.recv(100);
    trace.stop();
    const records = trace.records();
    expect(records.map(({ sequence, name, result, error }) => ({ sequence, name, result, error }))).toEqual([
      { sequence: 0, name: SEND, result: 5, error: null },
      { sequence: 1, name: RECV, result: 5, error: null },
      { sequence: 2, name: RECV, result: -1, error: 'EAGAIN' },
    ]);
    expect(records[0]?.arguments).toMatch(new RegExp(`^${a.fd}, "hello", 5, `));
    expect(records[1]?.arguments).toMatch(new RegExp(`^${b.fd}, "hello", \\d+, 0`));
    for (const { process: pid, thread, returned } of records) {
      expect(pid).toBe(process.pid);
      expect(thread).toBe(records[0]?.thread);
      expect(returned).toBe('');
      if (isLinux) expect(existsSync(`/proc/self/task/${thread}`)).toBe(true);
    }
  });

  it.skipIf(!isLinux)('has the received bytes, and none beyond them, also with MSG_TRUNC', () => {
    using bench = new Bench();
    const [a, b] = bench.pair({ type: 'dgram' });
    using trace = startTrace();
    a.send('x'.repeat(34));
    expect(b.recv(4, constants.MSG_TRUNC)?.toString()).toBe('xxxx');
    trace.stop();
    const { arguments: shown, result } = trace.records()[1] as SyscallRecord;
    expect(shown).toMatch(new RegExp(`^${b.fd}, "xxxx", 4, MSG_TRUNC`));
    expect(result).toBe(34);
  });

  it('has the start and the duration of the call', () => {
    const before = native.monotonicMilliseconds();
    using trace = startTrace();
    const began = native.monotonicMilliseconds();
    mark(1);
    using poll = new Poll();
    poll.poll(60);
    const ended = native.monotonicMilliseconds();
    const [first, second] = trace.records() as [SyscallRecord, SyscallRecord];
    expect(first.name).toBe(IS_OPEN);
    expect(first.start).toBeGreaterThanOrEqual(0);
    expect(first.start).toBeLessThanOrEqual(ended - before);
    expect(first.duration).toBeGreaterThan(0);
    expect(second.start).toBeGreaterThanOrEqual(first.start + first.duration);
    expect(second.duration).toBeGreaterThanOrEqual(59);
    expect(second.start + second.duration).toBeLessThanOrEqual(ended - before);
    expect(first.duration).toBeLessThan(ended - began);
  });

  it('has the values that follow the result', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    using poll = new Poll();
    poll.register(b.fd, POLLIN);
    using trace = startTrace();
    poll.poll(0);
    a.send('x');
    poll.poll(0);
    expect(
      trace
        .records()
        .filter(({ name }) => name !== SEND)
        .map(({ returned }) => returned),
    ).toEqual(['Timeout', expect.stringContaining(`{fd=${b.fd}, revents=POLL`)]);
  });

  it('names arguments by their constants, and shortens long ones', () => {
    using bench = new Bench();
    const [a] = bench.pair();
    using trace = startTrace();
    a.send('x'.repeat(1000));
    a.setOption('SO_KEEPALIVE', 1);
    const [sent, option] = trace.records();
    expect(sent?.arguments).toContain(`"${'x'.repeat(32)}"..., 1000`);
    expect(option?.arguments).toBe(`${a.fd}, SOL_SOCKET, SO_KEEPALIVE, [1], 4`);
  });
});

describe('room', () => {
  it('for four: the first four are kept, and the others are counted', () => {
    using trace = startTrace({ capacity: 4 });
    mark(...range(10));
    expect(marks(trace.records())).toEqual([0, 1, 2, 3]);
    expect(trace.dropped).toBe(6);
    // Reading frees no space.
    mark(10);
    expect(marks(trace.records())).toEqual([0, 1, 2, 3]);
    expect(trace.dropped).toBe(7);
  });

  it('is freed by take(), many times around', () => {
    using trace = startTrace({ capacity: 4 });
    const seen: SyscallRecord[] = [];
    for (let round = 0; round < 10; round++) {
      mark(...range(3).map((i) => 10 * round + i));
      seen.push(...trace.take());
      expect(trace.records()).toEqual([]);
    }
    expect(marks(seen)).toEqual(range(10).flatMap((round) => range(3).map((i) => 10 * round + i)));
    expect(seen.map(({ sequence }) => sequence)).toEqual(range(30));
    expect(trace.dropped).toBe(0);
    mark(...range(6));
    expect(trace.take().map(({ sequence }) => sequence)).toEqual([30, 31, 32, 33]);
    expect(trace.dropped).toBe(2);
  });

  it.each([
    [1, 1],
    [2, 2],
    [3, 4],
    [5, 8],
    [1000, 1024],
  ])('for %i: a power of two, %i', (capacity, places) => {
    using trace = startTrace({ capacity });
    mark(...range(1100));
    expect(trace.records().length).toBe(places);
    expect(trace.dropped).toBe(1100 - places);
  });
});

describe('summary() and format()', () => {
  it('group by name, longest total first', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    using poll = new Poll();
    using trace = startTrace();
    mark(1, 2);
    a.send('x');
    b.recv(10);
    b.recv(10);
    poll.poll(40);
    trace.stop();
    const [first, ...others] = trace.summary();
    expect(first).toMatchObject({ calls: 1, errors: 0 });
    expect(first?.milliseconds).toBeGreaterThanOrEqual(39);
    expect(others.map(({ name, calls, errors }) => [name, calls, errors]).sort()).toEqual(
      [
        [IS_OPEN, 2, 2],
        [RECV, 2, 1],
        [SEND, 1, 0],
      ].sort(),
    );
    const times = trace.summary().map(({ milliseconds }) => milliseconds);
    expect(times).toEqual([...times].sort((one, other) => other - one));
    const all = trace.records().reduce((sum, { duration }) => sum + duration, 0);
    expect(times.reduce((sum, time) => sum + time, 0)).toBeCloseTo(all, 6);
  });

  it('print a line per call, as strace does', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    using trace = startTrace();
    a.send('a "line"\n\x007\x1bé');
    b.recv(100);
    b.recv(100);
    const lines = trace.format().split('\n');
    expect(lines.pop()).toBe('');
    expect(lines).toEqual([
      expect.stringMatching(/^send(to)?\(\d+, "a \\"line\\"\\n\\0007\\33\\303\\251", 14, .*\) += 14$/),
      expect.stringMatching(/^recv(from)?\(\d+, "a \\"line\\"\\n\\0007\\33\\303\\251", \d+, 0.*\) += 14$/),
      expect.stringMatching(/^recv(from)?\(\d+, 0x[0-9a-f]+, \d+, 0.*\) += -1 EAGAIN$/),
    ]);
    expect(lines.every((line) => line.indexOf(' = ') >= 39)).toBe(true);
  });

  it('are empty without calls', () => {
    using trace = startTrace();
    expect([trace.records(), trace.take(), trace.summary(), trace.format(), trace.dropped]).toEqual([
      [],
      [],
      [],
      '',
      0,
    ]);
  });
});

describe('its end', () => {
  it('comes with stop(): the records stay, none is added', () => {
    const trace = startTrace();
    mark(1);
    trace.stop();
    mark(2);
    expect(marks(trace.records())).toEqual([1]);
    trace.stop();
    expect(marks(trace.take())).toEqual([1]);
    expect(trace.take()).toEqual([]);
    expect(trace.dropped).toBe(0);
  });

  it('comes with `using`, and with an error', () => {
    let kept = startTrace();
    kept.stop();
    expect(() => {
      using trace = startTrace();
      kept = trace;
      mark(1);
      throw new Error('mine');
    }).toThrow('mine');
    mark(2);
    expect(marks(kept.records())).toEqual([1]);
    kept[Symbol.dispose]();
  });

  it('is separate for each trace: of several at once, each has all calls from its start to its end', () => {
    using one = startTrace();
    mark(1);
    using other = startTrace({ capacity: 2 });
    mark(2);
    const third = startTrace();
    mark(3);
    third.stop();
    mark(4);
    one.stop();
    mark(5);
    expect([one, other, third].map((trace) => marks(trace.records()))).toEqual([[1, 2, 3, 4], [2, 3], [3]]);
    expect([one, other, third].map(({ dropped }) => dropped)).toEqual([0, 2, 0]);
  });

  it('leaves nothing behind: a thousand traces, one after the other', () => {
    for (let i = 0; i < 1000; i++) {
      using trace = startTrace({ capacity: 8 });
      mark(i);
      expect(marks(trace.take())).toEqual([i]);
    }
  });
});

describe('a wait beside Node’s loop', () => {
  it.each(mechanisms)('is recorded with its own thread: %s', async (mechanism) => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    const selector = bench.own(createSelector(mechanism));
    selector.register(b, EVENT_READ);
    using trace = startTrace();
    mark(1);
    const own = trace.take()[0]?.thread;
    const waited = selector.selectAsync({ timeout: 10_000 });
    setImmediate(() => a.send('x'));
    expect((await waited).length).toBe(1);
    trace.stop();
    const others = trace.records().filter(({ thread }) => thread !== own);
    expect(new Set(others.map(({ thread }) => thread)).size).toBe(1);
    expect(others.map(({ name }) => name)).toContainEqual(expect.stringMatching(/poll|select|Queued/i));
    expect(others.every(({ process: pid }) => pid === process.pid)).toBe(true);
  });
});

describe('wrong options', () => {
  it('of another type are ERR_INVALID_ARG_TYPE', () => {
    for (const options of [null, 5, 'text', true, () => undefined, Symbol('x'), 5n])
      throwsCode('ERR_INVALID_ARG_TYPE', () => startTrace(options as never));
    for (const capacity of ['4', null, {}, [4], true, 4n, Symbol('x')])
      throwsCode('ERR_INVALID_ARG_TYPE', () => startTrace({ capacity: capacity as never }));
  });

  it.each([0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 20 + 1, 2 ** 32, 2 ** 53])(
    'a capacity of %s is ERR_OUT_OF_RANGE',
    (capacity) => throwsCode('ERR_OUT_OF_RANGE', () => startTrace({ capacity })),
  );

  it('a getter that throws is ERR_INVALID_ARG_VALUE; a getter is read once', () => {
    const refuse = (): never => {
      throw new Error('mine');
    };
    throwsCode('ERR_INVALID_ARG_VALUE', () => startTrace(Object.defineProperty({}, 'capacity', { get: refuse })));
    let asked = 0;
    using trace = startTrace(Object.defineProperty({}, 'capacity', { get: () => (asked++ === 0 ? 2 : 'text') }));
    mark(1, 2, 3);
    expect([asked, trace.records().length]).toEqual([1, 2]);
  });

  it('undefined means the default', () => {
    using trace = startTrace({ capacity: undefined as never });
    mark(...range(3000));
    expect([trace.records().length, trace.dropped]).toEqual([3000, 0]);
  });
});
