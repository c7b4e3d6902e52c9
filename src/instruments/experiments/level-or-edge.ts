/** What each mode of watching reports of one socket, event by event: epoll(7), "Level-triggered and edge-triggered"; kqueue(2). */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Socket } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import type { ReportTable, Verdict } from '../report/report.js';
import { POLLIN, Poll } from '../../syscalls.js';
import type { Experiment, MeasureContext } from './experiment.js';
import { type Mode, type Trigger, type Watch, modes } from './triggers.js';

export interface LevelOrEdgeMode {
  readonly name: string;
  readonly trigger: Trigger;
  /** What was told after each step of the script; null: nothing. */
  readonly told: readonly (string | null)[];
}

export interface LevelOrEdgeFigures {
  /** The script: what was done before each time somebody asked. */
  readonly steps: readonly string[];
  readonly modes: readonly LevelOrEdgeMode[];
}

/** A socket, its peer, and what watches it. */
class Scene implements Disposable {
  readonly #peer: Socket;
  readonly #socket: Socket;
  readonly watch: Watch;

  constructor(mode: Mode) {
    [this.#peer, this.#socket] = Socket.pair({ blocking: false });
    this.watch = mode.watch(this.#socket);
  }

  arrive(bytes: number): void {
    this.#peer.send(Buffer.alloc(bytes));
    this.#hasArrived();
  }

  read(bytes: number): void {
    this.#socket.recv(bytes);
  }

  end(): void {
    this.#peer.shutdown('write');
    this.#hasArrived();
  }

  /** Where the pair is of the loopback, bytes take their time. */
  #hasArrived(): void {
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
  /** Which modes tell of something when they are asked then. null: no manual says whether. */
  readonly tells: Readonly<Record<Trigger, boolean | null>>;
}

const nothing = (): void => undefined;
const tells = (level: boolean, edge: boolean | null, oneShot: boolean) => ({ level, edge, 'one-shot': oneShot });

/** The whole experiment: read it from top to bottom, and guess. */
const SCRIPT: readonly Step[] = [
  { what: 'two bytes arrive', do: (scene) => scene.arrive(2), tells: tells(true, true, true) },
  { what: 'nothing happens', do: nothing, tells: tells(true, false, false) },
  // Who is told once, and reads a part: nobody tells of the rest. An edge-triggered reader reads until EAGAIN.
  { what: 'one byte is read', do: (scene) => scene.read(1), tells: tells(true, false, false) },
  { what: 'one more arrives', do: (scene) => scene.arrive(1), tells: tells(true, true, false) },
  { what: 'both are read', do: (scene) => scene.read(2), tells: tells(false, false, false) },
  { what: 'one byte arrives', do: (scene) => scene.arrive(1), tells: tells(true, true, false) },
  // Who says again what it waits for is told of what is there already. Of an edge, EPOLL_CTL_MOD does, and libkqueue's EV_ADD does not.
  { what: 're-armed', do: (scene) => scene.watch.rearm(), tells: tells(true, null, true) },
  { what: 'nothing happens', do: nothing, tells: tells(true, false, false) },
  {
    what: 'it is read, and re-armed',
    do(scene) {
      scene.read(1);
      scene.watch.rearm();
    },
    tells: tells(false, false, false),
  },
  { what: 'the peer ends', do: (scene) => scene.end(), tells: tells(true, true, true) },
  { what: 'nothing happens', do: nothing, tells: tells(true, false, false) },
];

// ------------------------------------------------------------------------------------------------------ how it is measured

const here: readonly string[] = mechanismsHere.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));
const modesHere = modes.filter(({ mechanism }) => here.includes(mechanism));
const hasEdge = modesHere.some(({ trigger }) => trigger === 'edge');

function toldBy(mode: Mode): LevelOrEdgeMode {
  using scene = new Scene(mode);
  const told = SCRIPT.map((step) => {
    step.do(scene);
    return scene.watch.ask();
  });
  return { name: mode.name, trigger: mode.trigger, told };
}

async function measure(context: MeasureContext): Promise<LevelOrEdgeFigures> {
  const { signal } = context;
  const figures: LevelOrEdgeMode[] = [];
  for (const [i, mode] of modesHere.entries()) {
    context.progress(i, modesHere.length, mode.name);
    figures.push(toldBy(mode));
    await nextTurn(undefined, { signal });
  }
  context.progress(modesHere.length, modesHere.length, 'done');
  return { steps: SCRIPT.map(({ what }) => what), modes: figures };
}

// ------------------------------------------------------------------------------------------------------ what the figures say

function verdict(figures: LevelOrEdgeFigures): Verdict {
  const isWhole = figures.modes.every(({ told }) => told.length === SCRIPT.length);
  if (!isWhole) return { outcome: 'undecided', because: 'not all steps of the script were made' };
  const missing = (['level', 'edge', 'one-shot'] as const).find((wanted) =>
    figures.modes.every(({ trigger }) => trigger !== wanted),
  );
  if (missing !== undefined)
    return {
      outcome: 'undecided',
      because: `nothing here watches in the mode ${missing}: there is nothing to compare`,
    };
  for (const { name, trigger, told } of figures.modes) {
    // It should have told, and has not, or the reverse.
    const wrong = SCRIPT.findIndex((step, i) => step.tells[trigger] === (told[i] === null));
    if (wrong >= 0) {
      const said = told[wrong] ?? 'nothing';
      const because = `${name} (${trigger}) told ${said} after step ${wrong + 1}, ‘${SCRIPT[wrong]?.what}’`;
      return { outcome: 'does not hold here', because };
    }
  }
  const counts = figures.modes.map(({ name, told }) => `${name} ${told.filter((one) => one !== null).length}`);
  const because = `of ${SCRIPT.length} times that they were asked, each told of something when it should: ${counts.join(', ')} times`;
  return { outcome: 'holds', because };
}

function tables({ steps, modes: columns }: LevelOrEdgeFigures): ReportTable[] {
  return [
    {
      title: 'What is told, event by event',
      columns: ['step', ...columns.map(({ name, trigger }) => `${name} (${trigger})`)],
      rows: steps.map((what, i) => [`${i + 1}. ${what}`, ...columns.map(({ told }) => told[i] ?? null)]),
    },
  ];
}

export const levelOrEdge: Experiment<LevelOrEdgeFigures> = {
  name: 'level-or-edge',
  title: 'What is reported, and how often',
  claim:
    'Level-triggered: told as long as there is something to read. Edge-triggered (EPOLLET, EV_CLEAR): told when something has come, and not ' +
    'of what was left. One-shot: told once, and then not before it is re-armed.',
  source: 'epoll(7), epoll_ctl(2) and kqueue(2), on which posts 002 to 004 build',
  setUp:
    'One socket and one script: bytes arrive, some are read, the socket is re-armed (EPOLL_CTL_MOD, EV_ADD), the peer ends. After each step ' +
    'each mode is asked once, without waiting, what there is.',
  isAvailable: hasEdge,
  why: hasEdge
    ? `there is: ${modesHere.map(({ name }) => name).join(', ')}`
    : `this system has neither epoll nor kqueue: all it has (${modesHere.map(({ name }) => name).join(', ')}) is level-triggered`,
  measure,
  tables,
  charts: () => [],
  verdict,
};
