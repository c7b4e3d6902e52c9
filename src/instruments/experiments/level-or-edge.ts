/** What each trigger mode reports about one socket, event by event: epoll(7), "Level-triggered and edge-triggered"; kqueue(2). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Socket } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import type { ReportTable, Verdict } from '../report/report.js';
import { POLLIN, Poll } from '../../syscalls.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { type Mode, type Trigger, type Watch, modes } from './triggers.js';

/** One trigger mode. */
export interface LevelOrEdgeMode {
  readonly name: string;
  readonly trigger: Trigger;
  /** The event reported after each step of the script; null: none. */
  readonly told: readonly (string | null)[];
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
  do(scene: Scene): void;
  /** Whether each mode must report an event after the step. null: no manual specifies it. */
  readonly mustReport: Readonly<Record<Trigger, boolean | null>>;
}

const doNothing = (): void => undefined;
const reports = (level: boolean, edge: boolean | null, oneShot: boolean) => ({ level, edge, 'one-shot': oneShot });

/** The whole experiment: read it from top to bottom, and predict each event. */
const SCRIPT: readonly Step[] = [
  { what: 'two bytes arrive', do: (scene) => scene.arrive(2), mustReport: reports(true, true, true) },
  { what: 'nothing happens', do: doNothing, mustReport: reports(true, false, false) },
  // After a partial read, edge and one-shot modes do not report the rest. An edge-triggered reader must read until EAGAIN.
  { what: 'one byte is read', do: (scene) => scene.read(1), mustReport: reports(true, false, false) },
  { what: 'one more arrives', do: (scene) => scene.arrive(1), mustReport: reports(true, true, false) },
  { what: 'both are read', do: (scene) => scene.read(2), mustReport: reports(false, false, false) },
  { what: 'one byte arrives', do: (scene) => scene.arrive(1), mustReport: reports(true, true, false) },
  // Re-arming reports bytes that are already there. In edge mode EPOLL_CTL_MOD does, and libkqueue's EV_ADD does not.
  { what: 're-armed', do: (scene) => scene.watch.rearm(), mustReport: reports(true, null, true) },
  { what: 'nothing happens', do: doNothing, mustReport: reports(true, false, false) },
  {
    what: 'it is read, and re-armed',
    do(scene) {
      scene.read(1);
      scene.watch.rearm();
    },
    mustReport: reports(false, false, false),
  },
  { what: 'the peer half-closes', do: (scene) => scene.end(), mustReport: reports(true, true, true) },
  { what: 'nothing happens', do: doNothing, mustReport: reports(true, false, false) },
];

// -------------------------------------------------------------------------------------------------------------- measurement

const here: readonly string[] = mechanismsHere.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));
const modesHere = modes.filter(({ mechanism }) => here.includes(mechanism));
const hasEdge = modesHere.some(({ trigger }) => trigger === 'edge');

/** Runs the script with one mode. */
function runScript(mode: Mode): LevelOrEdgeMode {
  using scene = new Scene(mode);
  const told = SCRIPT.map((step) => {
    step.do(scene);
    return scene.watch.poll();
  });
  return { name: mode.name, trigger: mode.trigger, told };
}

async function measure(context: MeasureContext): Promise<LevelOrEdgeFigures> {
  const { signal } = context;
  const figures: LevelOrEdgeMode[] = [];
  for (const [i, mode] of modesHere.entries()) {
    context.progress(i, modesHere.length, mode.name);
    figures.push(runScript(mode));
    await nextTurn(undefined, { signal });
  }
  context.progress(modesHere.length, modesHere.length, 'done');
  return { steps: SCRIPT.map(({ what }) => what), modes: figures };
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict(figures: LevelOrEdgeFigures): Verdict {
  const isWhole = figures.modes.every(({ told }) => told.length === SCRIPT.length);
  if (!isWhole) return { outcome: 'undecided', because: 'not all steps of the script were run' };
  const missing = (['level', 'edge', 'one-shot'] as const).find((wanted) =>
    figures.modes.every(({ trigger }) => trigger !== wanted),
  );
  if (missing !== undefined)
    return {
      outcome: 'undecided',
      because: `nothing here has the mode ${missing}: nothing to compare`,
    };
  for (const { name, trigger, told } of figures.modes) {
    // An event is missing, or there is one that must not be.
    const wrong = SCRIPT.findIndex((step, i) => step.mustReport[trigger] === (told[i] === null));
    if (wrong >= 0) {
      const event = told[wrong] ?? 'nothing';
      const because = `${name} (${trigger}) reported ${event} after step ${wrong + 1}, ‘${SCRIPT[wrong]?.what}’`;
      return { outcome: 'does not hold here', because };
    }
  }
  const counts = figures.modes.map(({ name, told }) => `${name} ${told.filter((one) => one !== null).length}`);
  const because = `polled ${SCRIPT.length} times, each mode reported an event exactly when it must: ${counts.join(', ')} times`;
  return { outcome: 'holds', because };
}

function tables({ steps, modes: columns }: LevelOrEdgeFigures): ReportTable[] {
  return [
    {
      title: 'Reported events, step by step',
      columns: ['step', ...columns.map(({ name, trigger }) => `${name} (${trigger})`)],
      rows: steps.map((what, i) => [`${i + 1}. ${what}`, ...columns.map(({ told }) => told[i] ?? null)]),
    },
  ];
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
  charts: () => [],
  verdict,
};
