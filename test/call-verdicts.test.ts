/** The verdicts of the system-call experiments, for figures that confirm, refute, or leave the claim undecided. */
import { describe, expect, it } from 'vitest';
import type { BusyWaitFigures, BusyWaitRow } from '../src/instruments/experiments/busy-wait.js';
import type { EpollCtlFigures } from '../src/instruments/experiments/epoll-ctl-cost.js';
import type { LevelOrEdgeFigures } from '../src/instruments/experiments/level-or-edge.js';
import type { PartialMessagesFigures, PartialMessagesRow } from '../src/instruments/experiments/partial-messages.js';
import type { RecvAnswer, RecvAnswersFigures } from '../src/instruments/experiments/recv-answers.js';
import type { ScalingFigures } from '../src/instruments/experiments/scaling.js';
import type { WakeupsFigures, WakeupsRow } from '../src/instruments/experiments/wakeups.js';
import type { WhoCopiesFigures, WhoCopiesRow } from '../src/instruments/experiments/who-copies.js';
import type { WriteSideFigures, WriteSideRow } from '../src/instruments/experiments/write-side.js';
import { exponentOf } from '../src/instruments/measuring/power-law.js';
import type { Spread } from '../src/instruments/measuring/spread.js';
import type { Outcome } from '../src/instruments/report/report.js';
import { experiment } from './support/built-experiments.js';

type Case<F> = readonly [what: string, figures: F, outcome: Outcome, because: RegExp];

function verdicts<F>(name: string, cases: readonly Case<F>[]): void {
  it.each(cases)(`${name}: %s`, (_, figures, outcome, because) => {
    const verdict = experiment<F>(name).verdict(figures);
    expect(verdict.outcome).toBe(outcome);
    expect([verdict.because, ...(verdict.statements ?? []).map((one) => one.because)].join(' ')).toMatch(because);
  });
}

describe('the verdict of', () => {
  describe('partial-messages', () => {
    const HALVES = 'each frame in two, cut at every byte';
    const TOGETHER = 'many frames per write';
    const row = (delivery: string, frames: number, reads: number | null, right = frames): PartialMessagesRow => ({
      ...{ model: 'reactor', delivery, frames, writes: 1, reads, right },
    });
    verdicts<PartialMessagesFigures>('partial-messages', [
      [
        'half frames, and many in a read',
        { rows: [row(HALVES, 10, 20), row(TOGETHER, 100, 1)] },
        'holds',
        /2\.00 reads.*0\.01/,
      ],
      ['one wrong answer', { rows: [row(HALVES, 10, 20, 9), row(TOGETHER, 100, 1)] }, 'holds in part', /9 of 10/],
      [
        'a read a frame',
        { rows: [row(HALVES, 10, 10), row(TOGETHER, 100, 100)] },
        'holds in part',
        /1 of 3.*1\.00 reads.*1\.00 reads/,
      ],
      ['half frames were made whole', { rows: [row(HALVES, 10, 10), row(TOGETHER, 100, 1)] }, 'holds in part', /1\.00/],
      [
        'no reads were recorded',
        { rows: [row(HALVES, 10, null), row(TOGETHER, 100, null)] },
        'holds in part',
        /No model’s reads/,
      ],
      ['reads of half frames alone', { rows: [row(HALVES, 10, 20)] }, 'holds in part', /No model’s reads/],
      ['nothing', { rows: [] }, 'undecided', /No model’s reads/],
    ]);
  });

  describe('busy-wait', () => {
    const busy = (cpuShare: number): BusyWaitRow => ({
      ...{ subject: 'busy-wait', connections: 100, cpuShare, callsPerSecond: 1e6 },
    });
    const reactor = (cpuShare: number): BusyWaitRow => ({ ...busy(cpuShare), subject: 'reactor:epoll' });
    const of = (...rows: BusyWaitRow[]): BusyWaitFigures => ({ window: 400, rows });
    verdicts<BusyWaitFigures>('busy-wait', [
      ['a whole core and none', of(busy(0.99), reactor(0.002)), 'holds', /99 %.*0\.2 %/],
      ['what others leave of a core', of(busy(0.3), reactor(0.01)), 'holds', /30 %/],
      ['both rest', of(busy(0.01), reactor(0.01)), 'holds in part', /1 %/],
      ['both burn', of(busy(0.9), reactor(0.9)), 'holds in part', /90 %/],
      ['a reactor that is not idle', of(busy(0.9), reactor(0.01), reactor(0.2)), 'holds in part', /20 %/],
      ['neither', of(busy(0.1), reactor(0.04)), 'holds in part', /1 of 2.*10 % to 10 %/],
      ['too short a time', { ...of(busy(0.99), reactor(0)), window: 10 }, 'undecided', /10 ms/],
      ['busy-wait alone', of(busy(0.99)), 'holds in part', /has none/],
      ['nothing', of(), 'not tried', /has none/],
    ]);
  });

  describe('scaling', () => {
    const flat = (): number => 0.5;
    const proportional = (n: number): number => 0.3 + 0.07 * n;
    /** @param noise relative distance of the quartiles from the median for many descriptors */
    const curve = (mechanism: string, cost: (n: number) => number, numbers: readonly number[], noise = 1) =>
      numbers.map((descriptors) => {
        const median = cost(descriptors);
        const off = descriptors >= 1000 ? noise : 1;
        return { mechanism, descriptors, cost: { count: 99, low: median / off, median, high: median * off } };
      });
    const ALL = [10, 100, 300, 1000, 3000];
    const FEW = [10, 100, 300, 1000];
    const refusal = { mechanism: 'select', registered: 1000, descriptor: 1024, code: 'ERR_OUT_OF_RANGE', message: '' };
    const select = curve('select', proportional, FEW);
    const poll = curve('poll', proportional, ALL);
    const epoll = curve('epoll', flat, ALL);
    const of = (...points: ScalingFigures['points'][]): ScalingFigures => ({
      ...{ fdSetSize: 1024, points: points.flat(), refusals: [refusal] },
    });
    verdicts<ScalingFigures>('scaling', [
      ['the classic curve', of(select, poll, epoll), 'holds', /epoll with N\^0\.00.*refused descriptor 1024/],
      ['noise that changes nothing', of(select, curve('poll', proportional, ALL, 1.5), epoll), 'holds', /N\^/],
      ['epoll grows too', of(select, poll, curve('epoll', proportional, ALL)), 'holds in part', /epoll with N\^0\.9/],
      ['poll does not grow', of(select, curve('poll', flat, ALL), epoll), 'holds in part', /poll with N\^0\.00/],
      [
        'select takes more than its sets hold',
        { ...of(curve('select', proportional, ALL), poll, epoll), refusals: [] },
        'holds in part',
        /accepted 3000/,
      ],
      [
        'select was never asked for more',
        { ...of(select, poll, epoll), refusals: [] },
        'holds in part',
        /not given more/,
      ],
      [
        'in between',
        of(
          select,
          poll,
          curve('epoll', (n) => n ** 0.4, ALL),
        ),
        'holds in part',
        /epoll 0\.40 to 0\.40/,
      ],
      ['too much noise', of(select, poll, curve('epoll', flat, ALL, 10)), 'holds in part', /Too uncertain: epoll/],
      [
        'few descriptors',
        of(curve('poll', proportional, [10, 100]), curve('epoll', flat, [10, 100])),
        'holds in part',
        /No figures/,
      ],
      ['no epoll, as on Windows', of(select, poll), 'holds in part', /2 of 3.*No figures/],
      ['nothing', of(), 'holds in part', /No figures/],
    ]);

    it('computes the exponent of the curve', () => {
      expect(exponentOf(ALL.map((n) => [n, 3 * n ** 2]))).toBeCloseTo(2);
      expect(exponentOf(ALL.map((n) => [n, 7]))).toBeCloseTo(0);
      expect(exponentOf([[10, 1]])).toBeNaN();
    });
  });

  describe('who-copies', () => {
    const row = (kind: WhoCopiesRow['kind'], reads: number, writes = reads): WhoCopiesRow => ({
      ...{ subject: kind, kind, messages: 1000, reads, writes, started: 0, calls: [], dropped: 0 },
    });
    const reactor = row('reactor', 1);
    const proactor = row('true proactor', 0);
    const emulated = row('emulated proactor', 1);
    const of = (...rows: WhoCopiesRow[]): WhoCopiesFigures => ({ rows });
    verdicts<WhoCopiesFigures>('who-copies', [
      [
        'the program, the kernel, the program',
        of(reactor, proactor, emulated),
        'holds',
        /reactor 1\..*true proactor 0\..*emulated proactor 1\./,
      ],
      [
        'the kernel carries out WSARecv',
        of(reactor, { ...proactor, started: 2 }, emulated),
        'holds',
        /true proactor 0/,
      ],
      [
        'a true proactor that reads itself',
        of(reactor, row('true proactor', 1), emulated),
        'holds in part',
        /true proactor 1/,
      ],
      [
        'an emulation that does not',
        of(reactor, proactor, row('emulated proactor', 0)),
        'holds in part',
        /emulated proactor 0/,
      ],
      ['it sends at once', of(reactor, row('true proactor', 0, 1), emulated), 'holds', /true proactor 0/],
      ['half of them', of(reactor, row('true proactor', 0.5), emulated), 'holds in part', /0\.5.*neither all nor none/],
      ['calls were dropped', of(reactor, { ...proactor, dropped: 3 }, emulated), 'holds in part', /3 calls/],
      ['few messages', of(reactor, { ...proactor, messages: 9 }, emulated), 'holds in part', /9 messages/],
      ['no true proactor', of(reactor, emulated), 'holds in part', /has none/],
      ['nothing', of(), 'not tried', /0 of 3/],
    ]);
  });

  describe('level-or-edge', () => {
    const IN = 'EPOLLIN';
    const level = [IN, IN, IN, IN, null, IN, IN, IN, null, IN, IN];
    const edge = [IN, null, null, IN, null, IN, IN, null, null, IN, null];
    const oneShot = [IN, null, null, null, null, null, IN, null, null, IN, null];
    const shown = (reported: typeof level) => ({
      reported,
      times: reported.map((_, i) => ({ done: 10 * i, polled: 10 * i + 5 })),
    });
    const of = (a: typeof level, b: typeof level, c: typeof level): LevelOrEdgeFigures => ({
      steps: a.map(() => 'a step'),
      modes: [
        { name: 'epoll', trigger: 'level', ...shown(a) },
        { name: 'EPOLLET', trigger: 'edge', ...shown(b) },
        { name: 'EPOLLONESHOT', trigger: 'one-shot', ...shown(c) },
      ],
    });
    const whole = of(level, edge, oneShot);
    verdicts<LevelOrEdgeFigures>('level-or-edge', [
      ['as the man pages say', whole, 'holds', /epoll 9, EPOLLET 5, EPOLLONESHOT 3/],
      ['an edge that re-arming does not renew', of(level, edge.with(6, null), oneShot), 'holds', /EPOLLET 4/],
      ['an edge that goes on', of(level, level, oneShot), 'does not hold here', /EPOLLET.*after step 2/],
      [
        'a level that is reported once',
        of(edge, edge, oneShot),
        'does not hold here',
        /epoll \(level\) reported nothing after step 2/,
      ],
      [
        'a shot that is never reported again',
        of(level, edge, [IN, ...edge.slice(1).map(() => null)]),
        'does not hold here',
        /step 7/,
      ],
      ['half of the script', of(level.slice(5), edge.slice(5), oneShot.slice(5)), 'undecided', /not all steps/],
      ['no edge', { ...whole, modes: whole.modes.filter(({ trigger }) => trigger === 'level') }, 'undecided', /edge/],
      ['nothing', { steps: [], modes: [] }, 'undecided', /nothing here/],
    ]);
  });

  describe('wakeups', () => {
    const row = (scenario: WakeupsRow['scenario'], wakeups: number, returns: number, isLost = false): WakeupsRow => ({
      ...{ mechanism: 'epoll', scenario, threads: 1, wakeups, returns, isLost },
    });
    const [single, waiting, busy] = [
      row('one by one', 100, 100),
      row('while it waits', 100, 7),
      row('while it is busy', 100, 1),
    ];
    const of = (...rows: WakeupsRow[]): WakeupsFigures => ({ rows });
    verdicts<WakeupsFigures>('wakeups', [
      ['none is lost, many are one', of(single, waiting, busy), 'holds', /None of 300 wake-ups was lost/],
      ['one is lost', of(single, row('while it waits', 100, 7, true), busy), 'holds in part', /lost after 7/],
      [
        'two became one although it waited',
        of(row('one by one', 100, 99), waiting, busy),
        'holds in part',
        /ended 99 waits/,
      ],
      ['each counts', of(single, waiting, row('while it is busy', 100, 100)), 'holds in part', /ended 100 waits/],
      ['hardly any', of(single, waiting, row('while it is busy', 2, 1)), 'holds in part', /Fewer than 10 wake-ups/],
      ['never while it was busy', of(single, waiting), 'holds in part', /Fewer than 10 wake-ups/],
      ['nothing', of(), 'undecided', /0 of 3/],
    ]);
  });

  describe('recv-answers', () => {
    const call = (isBlocking: boolean, state: RecvAnswer['state'], answer: number | string, duration = 0.1) => ({
      ...{ isBlocking, state, answer, duration },
    });
    const right = [
      call(false, 'bytes have arrived', 5),
      call(false, 'nothing has arrived', 'EAGAIN'),
      call(false, 'the peer has finished sending', 0),
      call(true, 'bytes have arrived', 5),
      call(true, 'nothing has arrived', 5, 101),
      call(true, 'nothing has arrived, the peer is about to finish', 0, 101),
      call(true, 'the peer has finished sending', 0),
    ];
    const of = (...calls: RecvAnswer[]): RecvAnswersFigures => ({ delay: 100, calls });
    verdicts<RecvAnswersFigures>('recv-answers', [
      ['all as the man page has it', of(...right), 'holds', /4 of 4/],
      ['a non-blocking one waits', of(...right, call(false, 'nothing has arrived', 5, 101)), 'holds in part', /3 of 4/],
      [
        'a blocking one does not wait',
        of(...right, call(true, 'nothing has arrived', 5, 1)),
        'holds in part',
        /3 of 4/,
      ],
      ['0 bytes of a peer that sends', of(...right, call(true, 'bytes have arrived', 0)), 'holds in part', /2 of 4/],
      ['nothing', of(), 'undecided', /0 of 4/],
    ]);
  });

  describe('write-side', () => {
    const row: WriteSideRow = {
      ...{ mechanism: 'poll', size: 100, taken: [60, 40], earlyReports: 0, received: 100 },
      ...{ waits: 10, endedWithWrite: 10, endedWithRead: 0 },
    };
    const of = (...rows: Partial<WriteSideRow>[]): WriteSideFigures => ({
      rows: rows.map((one) => ({ ...row, ...one })),
    });
    verdicts<WriteSideFigures>('write-side', [
      ['what fits, the rest later', of({}, {}), 'holds', /4 of 4/],
      ['all at once', of({}, { taken: [100] }), 'holds in part', /3 of 4/],
      ['reported as writable while it is full', of({ earlyReports: 1 }), 'holds in part', /3 of 4/],
      ['bytes are lost', of({ received: 99 }), 'holds in part', /3 of 4/],
      ['write interest does not end a wait', of({ endedWithWrite: 9 }), 'holds in part', /3 of 4/],
      ['nothing', of(), 'undecided', /0 of 4/],
    ]);
  });

  describe('epoll-ctl-cost', () => {
    const spread = (median: number): Spread => ({ count: 5, low: median, median, high: median });
    /** @param power the costs grow with N^power */
    const growing = (power: number, ...sizes: readonly number[]): EpollCtlFigures => ({
      points: sizes.map((descriptors) => {
        const cost = spread(descriptors ** power);
        return { descriptors, add: cost, modify: cost, remove: cost };
      }),
    });
    verdicts<EpollCtlFigures>('epoll-ctl-cost', [
      ['as a tree', growing(0.15, 10, 100, 1000, 10_000), 'holds', /N\^0\.15/],
      ['as a scan', growing(1, 10, 100, 1000, 10_000), 'does not hold here', /N\^1\.00/],
      ['in between', growing(0.5, 10, 100, 1000, 10_000), 'undecided', /N\^0\.50/],
      ['one size alone', growing(0.1, 10, 100), 'undecided', /Too few sizes/],
      ['nothing', growing(0), 'undecided', /Too few sizes/],
    ]);
  });
});
