/** What each trigger mode reports about one socket, event by event: epoll(7), "Level-triggered and edge-triggered"; kqueue(2). */
import { setTimeout as sleep } from 'node:timers/promises';
import { Socket } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import type { ReportChart, ReportTable, TimedEvent, Verdict } from '../report/report.js';
import { POLLIN, Poll } from '../../syscalls.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { type Mode, type Trigger, type Watch, modes } from './triggers.js';

/** One trigger mode. */
export interface LevelOrEdgeMode {
  readonly name: string;
  readonly trigger: Trigger;
  /** The event reported after each step of the script; null: none. */
  readonly reported: readonly (string | null)[];
  /** When each step was done, and when the mode was polled after it: milliseconds since the first step of the first mode. */
  readonly times: readonly { readonly done: number; readonly polled: number }[];
}

/** The figures of this experiment. */
export interface LevelOrEdgeFigures {
  /** The steps of the script. After each, the mode is polled once. */
  readonly steps: readonly string[];
  readonly modes: readonly LevelOrEdgeMode[];
}

/** A socket, its peer, and the watch on the socket. */
class Scene implements Disposable {
  readonly #peer: Socket;
  readonly #socket: Socket;
  readonly watch: Watch;

  constructor(mode: Mode) {
    [this.#peer, this.#socket] = Socket.pair({ blocking: false });
    this.watch = mode.watch(this.#socket);
  }

  /** Makes bytes arrive at the socket. */
  arrive(bytes: number): void {
    this.#peer.send(Buffer.alloc(bytes));
    this.#waitForArrival();
  }

  /** Reads bytes from the socket. */
  read(bytes: number): void {
    this.#socket.recv(bytes);
  }

  /** Half-closes the peer. */
  end(): void {
    this.#peer.shutdown('write');
    this.#waitForArrival();
  }

  /** On Windows the pair is a loopback connection, on which bytes arrive later. */
  #waitForArrival(): void {
    using poll = new Poll();
    poll.register(this.#socket, POLLIN);
    poll.poll(1000);
  }

  [Symbol.dispose](): void {
    this.watch.close();
    this.#socket.close();
    this.#peer.close();
  }
}

interface Step {
  readonly what: string;
  /** What it does to the socket. 'none': nothing. */
  readonly kind: 'bytes arrive' | 'read' | 're-armed' | 'read and re-armed' | 'end' | 'none';
  /** Bytes that arrive, or are read if negative. The end of the stream is one that stays. Default: 0. */
  readonly bytes?: number;
  do(scene: Scene): void;
  /** Whether each mode must report an event after the step. null: no manual specifies it. */
  readonly mustReport: Readonly<Record<Trigger, boolean | null>>;
}

const doNothing = (): void => undefined;
const reports = (level: boolean, edge: boolean | null, oneShot: boolean) => ({ level, edge, 'one-shot': oneShot });

/** The whole experiment: read it from top to bottom, and predict each event. */
const SCRIPT: readonly Step[] = [
  {
    what: 'two bytes arrive',
    kind: 'bytes arrive',
    bytes: 2,
    do: (scene) => scene.arrive(2),
    mustReport: reports(true, true, true),
  },
  { what: 'nothing happens', kind: 'none', do: doNothing, mustReport: reports(true, false, false) },
  // After a partial read, edge and one-shot modes do not report the rest. An edge-triggered reader must read until EAGAIN.
  {
    what: 'one byte is read',
    kind: 'read',
    bytes: -1,
    do: (scene) => scene.read(1),
    mustReport: reports(true, false, false),
  },
  {
    what: 'one more arrives',
    kind: 'bytes arrive',
    bytes: 1,
    do: (scene) => scene.arrive(1),
    mustReport: reports(true, true, false),
  },
  {
    what: 'both are read',
    kind: 'read',
    bytes: -2,
    do: (scene) => scene.read(2),
    mustReport: reports(false, false, false),
  },
  {
    what: 'one byte arrives',
    kind: 'bytes arrive',
    bytes: 1,
    do: (scene) => scene.arrive(1),
    mustReport: reports(true, true, false),
  },
  // Re-arming reports bytes that are already there. In edge mode EPOLL_CTL_MOD does, and libkqueue's EV_ADD does not.
  { what: 're-armed', kind: 're-armed', do: (scene) => scene.watch.rearm(), mustReport: reports(true, null, true) },
  { what: 'nothing happens', kind: 'none', do: doNothing, mustReport: reports(true, false, false) },
  {
    what: 'it is read, and re-armed',
    kind: 'read and re-armed',
    bytes: -1,
    do(scene) {
      scene.read(1);
      scene.watch.rearm();
    },
    mustReport: reports(false, false, false),
  },
  {
    what: 'the peer half-closes',
    kind: 'end',
    bytes: 1,
    do: (scene) => scene.end(),
    mustReport: reports(true, true, true),
  },
  { what: 'nothing happens', kind: 'none', do: doNothing, mustReport: reports(true, false, false) },
];

// -------------------------------------------------------------------------------------------------------------- measurement

const here: readonly string[] = mechanismsHere.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));
const modesHere = modes.filter(({ mechanism }) => here.includes(mechanism));
const hasEdge = modesHere.some(({ trigger }) => trigger === 'edge');

/** Milliseconds between a step and the poll after it, and between that and the next step: so that a diagram can show both. */
const PACE = 5;

/** Runs the script with all modes, each on a socket of its own. */
async function measure(context: MeasureContext): Promise<LevelOrEdgeFigures> {
  const { signal } = context;
  using scenes = new Scenes(modesHere);
  const figures = modesHere.map(({ name, trigger }) => ({
    ...{ name, trigger },
    ...{ reported: [] as (string | null)[], times: [] as { done: number; polled: number }[] },
  }));
  const begun = performance.now();
  for (const [i, step] of SCRIPT.entries()) {
    context.progress(i, SCRIPT.length, step.what);
    const done = scenes.all.map((scene) => {
      step.do(scene);
      return performance.now() - begun;
    });
    await sleep(PACE, undefined, { signal });
    for (const [m, { reported, times }] of figures.entries()) {
      reported.push(scenes.all[m]?.watch.poll() ?? null);
      times.push({ done: done[m] ?? NaN, polled: performance.now() - begun });
    }
    await sleep(PACE, undefined, { signal });
  }
  context.progress(SCRIPT.length, SCRIPT.length, 'done');
  return { steps: SCRIPT.map(({ what }) => what), modes: figures };
}

/** A scene per mode. */
class Scenes implements Disposable {
  readonly all: readonly Scene[];

  constructor(modes: readonly Mode[]) {
    this.all = modes.map((mode) => new Scene(mode));
  }

  [Symbol.dispose](): void {
    for (const scene of this.all) scene[Symbol.dispose]();
  }
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict(figures: LevelOrEdgeFigures): Verdict {
  const isWhole = figures.modes.every(({ reported }) => reported.length === SCRIPT.length);
  if (!isWhole) return { outcome: 'undecided', because: 'not all steps of the script were run' };
  const missing = (['level', 'edge', 'one-shot'] as const).find((wanted) =>
    figures.modes.every(({ trigger }) => trigger !== wanted),
  );
  if (missing !== undefined)
    return {
      outcome: 'undecided',
      because: `nothing here has the mode ${missing}: nothing to compare`,
    };
  for (const { name, trigger, reported } of figures.modes) {
    // An event is missing, or there is one that must not be.
    const wrong = SCRIPT.findIndex((step, i) => step.mustReport[trigger] === (reported[i] === null));
    if (wrong >= 0) {
      const event = reported[wrong] ?? 'nothing';
      const because = `${name} (${trigger}) reported ${event} after step ${wrong + 1}, ‘${SCRIPT[wrong]?.what}’`;
      return { outcome: 'does not hold here', because };
    }
  }
  const counts = figures.modes.map(({ name, reported }) => `${name} ${reported.filter((one) => one !== null).length}`);
  const because = `polled ${SCRIPT.length} times, each mode reported an event exactly when it must: ${counts.join(', ')} times`;
  return { outcome: 'holds', because };
}

function tables({ steps, modes: columns }: LevelOrEdgeFigures): ReportTable[] {
  return [
    {
      title: 'Reported events, step by step',
      columns: ['step', ...columns.map(({ name, trigger }) => `${name} (${trigger})`)],
      rows: steps.map((what, i) => [`${i + 1}. ${what}`, ...columns.map(({ reported }) => reported[i] ?? null)]),
    },
  ];
}

const READABLE = 'something to read';
const DONE: Readonly<Record<Exclude<Step['kind'], 'none'>, string>> = {
  'bytes arrive': 'bytes arrive',
  read: 'bytes are read',
  're-armed': 're-armed',
  'read and re-armed': 'read, and re-armed',
  end: 'the peer half-closes',
};

/** When something was there to read, what was done, and when a poll reported it. */
function charts({ steps, modes: rows }: LevelOrEdgeFigures): readonly ReportChart[] {
  return [
    {
      kind: 'timing',
      title: 'What was done, and which polls reported an event',
      time: { label: 'ms since the first step' },
      rows: rows.map((mode) => ({
        name: `${mode.name} (${mode.trigger})`,
        events: [...readable(mode), ...steps.flatMap((what, i) => eventsOf(mode, i, what))],
      })),
    },
  ];
}

function eventsOf({ reported, times }: LevelOrEdgeMode, i: number, what: string): TimedEvent[] {
  const { done = NaN, polled = NaN } = times[i] ?? {};
  const kind = SCRIPT[i]?.kind ?? 'none';
  const event = reported[i] ?? null;
  return [
    ...(kind === 'none' ? [] : [{ what: DONE[kind], from: done, detail: `step ${i + 1}: ${what}` }]),
    {
      what: event === null ? 'polled: nothing reported' : 'polled: event reported',
      ...{ from: polled, lane: 1 },
      detail: `after step ${i + 1}: ${event ?? 'nothing'}`,
    },
  ];
}

/** The times during which bytes, or the peer's end, waited in the socket. */
function readable({ times }: LevelOrEdgeMode): TimedEvent[] {
  const spans: TimedEvent[] = [];
  let bytes = 0;
  let since = 0;
  for (const [i, { bytes: change = 0 }] of SCRIPT.entries()) {
    const at = times[i]?.done ?? NaN;
    if (bytes === 0 && change > 0) since = at;
    if (bytes > 0 && bytes + change === 0) spans.push({ what: READABLE, from: since, to: at, detail: 'unread bytes' });
    bytes += change;
  }
  const end = times.at(-1)?.polled;
  if (bytes > 0 && end !== undefined)
    spans.push({ what: READABLE, from: since, to: end, detail: 'the end of the stream' });
  return spans;
}

export const levelOrEdge: Experiment<LevelOrEdgeFigures> = {
  name: 'level-or-edge',
  title: 'What is reported, and how often',
  claim:
    'Level-triggered: reported as long as there is something to read. Edge-triggered (EPOLLET, EV_CLEAR): reported when new data arrives, ' +
    'not for data left unread. One-shot: reported once, and then not until it is re-armed.',
  source: 'epoll(7), epoll_ctl(2) and kqueue(2), on which posts 002 to 004 build',
  setUp:
    'One socket and one script: bytes arrive, some are read, the socket is re-armed (EPOLL_CTL_MOD, EV_ADD), the peer half-closes. After ' +
    'each step each mode is polled once, without waiting.',
  isAvailable: hasEdge,
  why: hasEdge
    ? `this system has: ${modesHere.map(({ name }) => name).join(', ')}`
    : `this system has neither epoll nor kqueue; its mechanisms (${modesHere.map(({ name }) => name).join(', ')}) are level-triggered`,
  measure,
  tables,
  charts,
  verdict,
};
