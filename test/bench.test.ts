/** `npm run bench`: the evaluation of its figures. The runs are in test/long/bench.test.ts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type Goal, goalsOf } from '../src/instruments/bench/goals.js';
import { CORES_SUBJECTS, limitOf, serverAlone } from '../src/instruments/bench/cores.js';
import { disturbanceOf, judge } from '../src/instruments/bench/judging.js';
import { type BenchResults, type Round, ratio } from '../src/instruments/bench/results.js';
import { sectionsOf } from '../src/instruments/bench/sections.js';
import { surpriseOf } from '../src/instruments/bench/surprise.js';
import { WORKLOADS } from '../src/instruments/bench/workloads.js';
import { type OtherWork, otherWorkBetween, timesOfLinux, workUpToNow } from '../src/instruments/measuring/busyness.js';
import { spreadOf } from '../src/instruments/measuring/spread.js';

const QUIET: OtherWork = { programs: 0.01, machines: 0 };

describe('figures', () => {
  it('a ratio is the median of the ratios per round, not the ratio of the medians', () => {
    expect(ratio([2, 40, 6], [1, 10, 2])).toMatchObject({ median: 3, count: 3 });
    expect(ratio([2, 4], undefined)).toBeNull();
    expect(ratio([2, 4, 9], [1])).toMatchObject({ median: 2, count: 1 });
  });

  const round = (cpu: number, perSecond: number): Round => ({ cpu, perSecond, p50: 1, p99: 2, clientBusy: 0.5 });
  const results = (reactor: number, otherWork: OtherWork | undefined = QUIET): BenchResults => ({
    machine: {},
    versions: { 'c-epoll': '', reactor: '' },
    missing: { bun: 'not installed' },
    rounds: 3,
    seconds: 1,
    served: [
      {
        cell: 'echo 50 x 64',
        rounds: {
          'c-epoll': [round(4, 200_000), round(8, 100_000), round(4, 200_000)],
          reactor: [round(4 * reactor, 150_000), round(8 * reactor, 75_000), round(4 * reactor, 150_000)],
          'node-net': [round(8, 100_000), round(16, 50_000), round(8, 100_000)],
        },
        failed: { go: 'it ended with 1: why' },
        ...(otherWork === undefined ? {} : { otherWork }),
      },
    ],
    idle: [{ cell: 'idle 10000', bytes: { reactor: [500, 513, 520] }, failed: {} }],
    turns: [
      {
        ...{ cell: 'epoll 100, 1 active', mechanism: 'epoll', registered: 100, active: 1 },
        turns: { c: [300, 300, 300], 'selectors-native': [375, 375, 375], cpython: [780, 780, 780] },
        failed: {},
        otherWork: QUIET,
      },
    ],
  });
  const goal = (all: BenchResults, what: string, bar: string): Goal | undefined =>
    goalsOf(all).find((one) => one.what === what && one.bar.startsWith(bar) && one.measured !== null);
  const [reached, missed] = [{ outcome: 'reached' }, { outcome: 'missed' }];

  it('a goal is reached at its bar, and missed beyond it', () => {
    const verdict = (reactor: number, what: string, bar: string) => goal(results(reactor), what, bar)?.judgement;
    expect(verdict(1.04, 'echo, epoll', '≤ 1.04 CPU of c-epoll')).toEqual(reached);
    expect(verdict(1.05, 'echo, epoll', '≤ 1.04 CPU of c-epoll')).toEqual(missed);
    expect(verdict(1, 'messages/s', '≥ 1.5 times node-net')).toEqual(reached);
    expect(verdict(1, 'messages/s', '≥ 1.1 times bun')).toBeUndefined();
    expect(verdict(1, 'epoll turn', '≤ 1.25 CPU of c')).toEqual(reached);
    expect(verdict(1, 'epoll turn', '≥ 2.5 times faster than cpython')).toEqual(missed);
    expect(verdict(1, 'idle, bytes per connection', '≤ 512')).toEqual(missed);
  });

  it('each goal names a cell that some workload has', () => {
    const cells = [...WORKLOADS, surpriseOf(7)].flatMap((workload) => workload.cells.map(({ name }) => name));
    const cores = CORES_SUBJECTS.map(({ name }) => name);
    const goals = goalsOf({ ...results(1), seed: 7 }).filter(
      ({ bar }) => bar.includes(' of ') || bar.includes('times'),
    );
    for (const { cell } of goals) expect([...cells, ...cores, ...TURNS]).toContain(cell);
  });
  const TURNS = [
    ...['100', '1000', '10000', '19000'].flatMap((count) => [`epoll ${count}`, `poll ${count}`]),
    'select 100',
    'select 900',
  ].flatMap((row) => [`${row}, 1 active`, `${row}, 100 active`]);

  it('every figure has its spread', () => {
    const tables = sectionsOf(results(1)).flatMap(({ id, tables }) =>
      id === 'subjects' || id === 'goals' ? [] : tables,
    );
    const names = new Set(['c-epoll', 'reactor', 'node-net']);
    const cells = tables.flatMap(({ rows }) =>
      rows.flatMap((row) => row.filter((one) => typeof one === 'string' && !names.has(one))),
    );
    expect(cells.length).toBeGreaterThan(20);
    for (const cell of cells) expect(cell).toMatch(/^[\d,.]+ ± [\d,.]+( %)?$/);
  });

  describe('a verdict is refused', () => {
    const shownGoal = (all: BenchResults) => {
      const section = sectionsOf(all).find(({ id }) => id === 'goals');
      return { facts: section?.facts, cell: section?.tables[0]?.rows.find(([what]) => what === 'echo, epoll')?.[3] };
    };

    it.each([
      ['other programs', { programs: 0.2, machines: 0 }, 'other programs used 20 % of the processors'],
      ['the hypervisor', { programs: 0, machines: 0.03 }, 'the hypervisor gave 3 % to other machines'],
      ['both', { programs: 0.2, machines: 0.03 }, /^other programs .* processors; the hypervisor gave 3 %/],
      ['a system without figures', { programs: null, machines: 0 }, 'does not report what other programs use'],
    ] as const)('because of %s: a dash and the reason', (_, otherWork, reason) => {
      const { facts, cell } = shownGoal(results(1, otherWork));
      expect(cell).toBe('– 1.000 ± 0.000');
      const [, because] =
        facts?.find(([label, text]) => label === 'echo 50 x 64' && text.startsWith('– echo, epoll')) ?? [];
      expect(because?.replace(/^.*c-epoll: /, '')).toMatch(reason);
      expect(shownGoal(results(1)).cell).toBe('✓ 1.000 ± 0.000');
    });

    it('because a file of an earlier version does not say how busy the machine was', () => {
      const [cell] = results(1).served;
      const { otherWork, ...earlier } = cell as NonNullable<typeof cell>;
      expect(otherWork).toBe(QUIET);
      expect(shownGoal({ ...results(1), served: [earlier] }).cell).toBe('– 1.000 ± 0.000');
      expect(disturbanceOf(undefined)).toContain('does not say');
    });

    it.each([
      [[1, 1], '2 of at least 3 rounds'],
      [[0.9, 1, 1.1, 1.2, 0.8], 'the rounds differ by ± 10 %'],
      [[1, 1.01, 0.99], null],
    ])('because of the rounds %j: %s', (rounds, because) => {
      const judgement = judge(spreadOf(rounds), 'at most', 1.5, null);
      expect(judgement).toEqual(because === null ? reached : { outcome: 'not judged', because });
    });
  });

  describe('other work', () => {
    it('counts the processors of /proc/stat: waiting for a disk is idle, and stolen time is no program', () => {
      // user nice system idle iowait irq softirq steal guest guest_nice
      expect(timesOfLinux('cpu  100 10 50 700 30 5 5 100 7 0\ncpu0 1 1 1\n')).toEqual({
        all: 10_000,
        idle: 7300,
        stolen: 1000,
      });
    });

    it('is what remains of the used time without this process and its children', () => {
      const processors = { all: 1000, idle: 600, stolen: 0 };
      const later = { all: 2000, idle: 1200, stolen: 100 };
      const between = (own: number) => otherWorkBetween({ processors, own: 50 }, { processors: later, own });
      expect(between(250)).toEqual({ programs: 0.1, machines: 0.1 });
      expect(between(360).programs).toBe(0); // ticks and exact times differ
      expect(between(NaN).programs).toBeNull();
    });

    const SPIN = 'for (const end = performance.now() + 500; performance.now() < end;);';

    it.skipIf(process.platform !== 'linux')('a child is no other work', async () => {
      const before = workUpToNow();
      await once(spawn(process.execPath, ['-e', SPIN]), 'close');
      expect(workUpToNow().own - before.own).toBeGreaterThan(100); // other tests run at the same time
    });

    it.skipIf(process.platform !== 'linux')('a program of another parent is', async () => {
      const before = workUpToNow();
      // The shell exits at once, and the program has another parent from then on. It ends the stream when it exits.
      const shell = spawn('sh', ['-c', '"$0" -e "$1" &', process.execPath, SPIN]);
      shell.stdout.resume();
      await once(shell.stdout, 'end');
      const after = workUpToNow();
      const { programs } = otherWorkBetween(before, after);
      expect(after.own - before.own).toBeLessThan(400);
      expect((programs ?? 0) * (after.processors.all - before.processors.all)).toBeGreaterThan(100);
    });
  });

  describe('several cores', () => {
    const on = (perSecond: number, serverCpu: number, clientCpu: number) => ({ perSecond, serverCpu, clientCpu });
    const three = <T>(one: T): T[] => [one, one, one];

    it.each([
      ['one core', 100_000, 1e6 / 6],
      ['two cores', 200_000, 2e6 / 6],
      ['clients on both', 125_000, 1e6 / 6],
    ] as const)('%s: the model of the time per message', (placement, limit, alone) => {
      expect(limitOf(on(1, 6, 4), placement)).toBeCloseTo(limit);
      expect(serverAlone(on(1, 6, 4), placement)).toBeCloseTo(alone);
    });

    it('the goals are the ratios to one core, and to one loop without the clients', () => {
      const rounds = {
        'reactor, one core': three(on(100_000, 5, 4.5)),
        'reactor, clients on both': three(on(90_000, 5.4, 4.5)),
        'multi-reactor, two cores': three(on(180_000, 6, 5)),
        'multi-process-reactor, two cores': three(on(165_000, 7.2, 5)),
      };
      const all = { ...results(1), cores: [{ cell: 'cores 50 x 64', rounds, failed: {}, otherWork: QUIET }] };
      const table = sectionsOf(all).find(({ id }) => id === 'cores')?.tables[0];
      expect(table?.rows.map(([name, , speedup, , , limit, , model]) => [name, speedup, limit, model])).toEqual([
        ['reactor, one core', '1.00 ± 0.00', '105,263 ± 0', null],
        ['reactor, clients on both', null, '130,719 ± 0', '1.00 ± 0.00'],
        ['multi-reactor, two cores', '1.80 ± 0.00', '181,818 ± 0', '1.80 ± 0.00'],
        ['multi-process-reactor, two cores', '1.65 ± 0.00', '163,934 ± 0', '1.50 ± 0.00'],
      ]);
      const isOfCores = ({ cell }: Goal): boolean => cell.endsWith('two cores');
      const verdicts = goalsOf(all).filter((one) => isOfCores(one) && one.measured !== null);
      expect(verdicts.map(({ cell, judgement }) => [cell, judgement])).toEqual([
        ['multi-reactor, two cores', reached],
        ['multi-reactor, two cores', reached],
        ['multi-process-reactor, two cores', missed],
        ['multi-process-reactor, two cores', missed],
      ]);
    });

    it('each subject is compared with one loop that is measured too', () => {
      const names = CORES_SUBJECTS.map(({ name }) => name);
      for (const { base } of CORES_SUBJECTS)
        for (const placement of ['one core', 'clients on both']) expect(names).toContain(`${base}, ${placement}`);
    });
  });

  describe('--surprise', () => {
    it('the same seed gives the same cells, and another one others', () => {
      expect(surpriseOf(7)).toEqual(surpriseOf(7));
      expect(surpriseOf(7).cells).not.toEqual(surpriseOf(8).cells);
      expect(surpriseOf(7).note).toContain('--surprise 7');
    });

    it('ten different cells within the bounds, whatever the seed', () => {
      for (let seed = 0; seed < 500; seed++) {
        const { cells } = surpriseOf(seed);
        expect(new Set(cells.map(({ name }) => name)).size).toBe(10);
        for (const { connections, size } of cells) {
          expect(connections).toBeGreaterThanOrEqual(2);
          expect(connections).toBeLessThanOrEqual(2000);
          expect(size).toBeGreaterThanOrEqual(16);
          expect(size).toBeLessThanOrEqual(131_072);
          expect(connections * size).toBeLessThanOrEqual(32 << 20);
        }
      }
    });

    it('its cells are shown and judged as the others', () => {
      const [served] = results(1.11).served;
      const all = {
        ...results(1.11),
        seed: 7,
        served: [{ ...served, cell: surpriseOf(7).cells[3]?.name ?? '' } as NonNullable<typeof served>],
      };
      const sections = sectionsOf(all);
      expect(sections.map(({ id }) => id)).toContain('surprise');
      expect(goal(all, 'surprise, epoll', '≤ 1.1 CPU of c-epoll')).toMatchObject({ judgement: missed });
    });
  });

  it("what is JSON's is the difference to the same loop without it, round by round", () => {
    const cell = { cell: 'rpc 50 x 64', failed: {}, otherWork: QUIET };
    const rounds = {
      'c-epoll': [round(4, 1), round(5, 1), round(4, 1)],
      reactor: [round(5, 1), round(9, 1), round(5.5, 1)],
      'reactor-no-json': [round(4.4, 1), round(5.5, 1), round(4.4, 1)],
    };
    const all = { ...results(1), served: [{ ...cell, rounds }] };
    const table = sectionsOf(all)
      .find(({ id }) => id === 'rpc')
      ?.tables.find(({ title }) => title.includes('JSON'));
    expect(table?.rows).toEqual([['reactor', '5.50 ± 1.75', '4.40 ± 0.55', '1.10 ± 1.20', '1.10 ± 0.00']]);
    expect(goal(all, 'rpc without JSON, epoll', '≤ 1.15 CPU of c-epoll')?.judgement).toEqual(reached);
  });

  it('a subject over io_uring is compared with C on epoll where C on io_uring does not serve', () => {
    const rounds = { 'c-epoll': [round(4, 1)], proactor: [round(6, 1)] };
    const section = sectionsOf({ ...results(1), served: [{ cell: 'rpc 50 x 64', failed: {}, rounds }] }).find(
      ({ id }) => id === 'rpc',
    );
    expect(section?.tables[0]?.rows.find(([name]) => name === 'proactor')?.[2]).toBe('1.50 ± 0.00');
  });

  it('a failed or missing subject is reported with the reason', () => {
    const sections = sectionsOf(results(1));
    expect(sections.find(({ id }) => id === 'subjects')?.tables[0]?.rows).toContainEqual([
      'bun',
      'Bun.listen',
      'missing: not installed',
    ]);
    expect(sections.find(({ id }) => id === 'echo')?.facts).toContainEqual([
      'echo 50 x 64',
      'go: it ended with 1: why',
    ]);
  });

  it.each(['goals', 'idle', 'turns'])('there is a section of %s if it was measured, and none otherwise', (id) => {
    const idsOf = (all: BenchResults) => sectionsOf(all).map((section) => section.id);
    expect(idsOf(results(1))).toContain(id);
    expect(idsOf({ ...results(1), served: [], idle: [], turns: [] })).toEqual(['subjects']);
  });
});
