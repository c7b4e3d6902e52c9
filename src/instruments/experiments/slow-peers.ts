/** Posts 000 (b) and (c): as many slow clients as workers block all other clients. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { warmUp } from '../measuring/warm-up.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { sentence, threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

const POOL = 'thread-pool';
const MODELS = [POOL, 'process-pool', 'prefork', 'thread-per-connection', 'reactor'];
const QUICK_MODELS = [POOL, 'thread-per-connection', 'reactor'];
/** Length of the pool's queue; further clients are refused. */
const MAX_QUEUED = 4;
/** Clients that connect at once: more than the queue holds. */
const CROWD = 12;

/** New clients, one at a time, with a number of slow clients. */
export interface SlowPeersCase {
  /** Number of slow clients. */
  readonly slow: number;
  /** Time from connect() to the first byte of the reply, in milliseconds. */
  readonly firstByte: Spread;
}

/** Clients that connect at once while there are as many slow clients as workers: their state after half of `hold`. */
export interface Crowd {
  /** Got a reply. */
  readonly answered: number;
  /** Refused: the connection was closed without a reply. */
  readonly turnedAway: number;
  /** Accepted and waiting: in the server's queue, or for a thread or process to start. */
  readonly queued: number;
  /** Not accepted: in the kernel's backlog. */
  readonly inBacklog: number;
}

/** One model. */
export interface SlowPeersModel {
  readonly name: string;
  readonly cases: readonly SlowPeersCase[];
  readonly crowd: Crowd;
}

/** The figures of this experiment. */
export interface SlowPeersFigures {
  readonly workers: number;
  /** Milliseconds after which the slow clients close, at most. */
  readonly hold: number;
  readonly models: readonly SlowPeersModel[];
}

interface Sizes {
  readonly workers: number;
  readonly hold: number;
  readonly samples: number;
  readonly models: readonly string[];
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { workers: 4, hold: 500, samples: 5, models: MODELS },
  quick: { workers: 2, hold: 300, samples: 5, models: QUICK_MODELS },
};

async function measure(context: MeasureContext): Promise<SlowPeersFigures> {
  const { effort, signal } = context;
  const { workers, hold, samples, models: names } = SIZES[effort];
  const models = [];
  for (const [index, name] of names.entries()) {
    context.progress(index, names.length, name);
    const options = { workers, ...(name === POOL ? { maxQueued: MAX_QUEUED } : {}) };
    await using server = await MeasuredServer.start(subjectNamed(name), options);
    await warmUp(server, workers, signal);
    const cases = [];
    for (const slow of [0, workers - 1, workers]) {
      using peers = await SlowPeers.connect(server, slow, signal);
      cases.push({ slow, firstByte: spreadOf(await firstBytes(server, peers, { hold, samples, signal })) });
    }
    models.push({ name, cases, crowd: await crowdOf(server, { workers, hold, signal }) });
  }
  context.progress(names.length, names.length, 'done');
  return { workers, hold, models };
}

/** Slow clients. Each has sent one byte and got the reply, so that a worker now waits for its next byte, which it never sends. */
class SlowPeers implements Disposable {
  readonly #clients: Client[] = [];
  isClosed = false;

  static async connect(server: MeasuredServer, count: number, signal: AbortSignal): Promise<SlowPeers> {
    const peers = new SlowPeers();
    for (let i = 0; i < count; i++) {
      const client = await Client.connect(server.port, signal);
      peers.#clients.push(client);
      client.send(Buffer.of(0));
      await client.receive();
    }
    return peers;
  }

  close(): void {
    this.isClosed = true;
    for (const client of this.#clients) client[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Time to first byte of new clients, one at a time, until there are enough samples or the slow clients close. */
async function firstBytes(
  { port }: MeasuredServer,
  peers: SlowPeers,
  { hold, samples, signal }: { readonly hold: number; readonly samples: number; readonly signal: AbortSignal },
): Promise<number[]> {
  const timer = setTimeout(() => peers.close(), hold);
  const times: number[] = [];
  try {
    while (times.length === 0 || (times.length < samples && !peers.isClosed)) {
      const begun = performance.now();
      using client = await Client.connect(port, signal);
      client.send(Buffer.of(0));
      await client.receive();
      times.push(performance.now() - begun);
    }
  } finally {
    clearTimeout(timer);
  }
  return times;
}

/** Connects CROWD clients at once and counts their states after half of `hold`. */
async function crowdOf(
  server: MeasuredServer,
  { workers, hold, signal }: { readonly workers: number; readonly hold: number; readonly signal: AbortSignal },
): Promise<Crowd> {
  const peers = await SlowPeers.connect(server, workers, signal);
  const acceptedBefore = await acceptedBy(server);
  const clients: Client[] = [];
  let answered = 0;
  let turnedAway = 0;
  const ends = Array.from({ length: CROWD }, async () => {
    try {
      const client = await Client.connect(server.port, signal);
      clients.push(client);
      client.send(Buffer.of(0));
      if ((await client.receive()) === null) turnedAway++;
      else answered++;
    } catch {
      turnedAway++; // reset, maybe before connect() has returned
    }
  });
  await Promise.race([Promise.all(ends), sleep(hold / 2, undefined, { signal })]);
  signal.throwIfAborted();
  const accepted = (await acceptedBy(server)) - acceptedBefore;
  const crowd = { answered, turnedAway, queued: accepted - answered - turnedAway, inBacklog: CROWD - accepted };
  for (const client of clients) client[Symbol.dispose]();
  peers.close();
  return crowd;
}

const acceptedBy = async (server: MeasuredServer): Promise<number> => (await server.stats())?.accepted ?? 0;

const withSlow = (count: number): string => (count === 1 ? 'with 1 slow client' : `with ${count} slow clients`);

function tables({ models, workers, hold }: SlowPeersFigures): readonly ReportTable[] {
  return [
    {
      title: `Time to first byte of a new client, ms (median), while slow clients stay for ${hold} ms`,
      columns: ['model', ...[0, workers - 1, workers].map(withSlow)],
      rows: models.map(({ name, cases }) => [name, ...cases.map(({ firstByte }) => firstByte.median)]),
    },
    {
      title: `${CROWD} more clients at once, ${withSlow(workers)}: their state after ${hold / 2} ms`,
      columns: ['model', 'answered', 'waiting in the server', 'waiting in the kernel’s backlog', 'refused'],
      rows: models.map(({ name, crowd: { answered, queued, inBacklog, turnedAway } }) => [
        ...[name, answered, queued, inBacklog, turnedAway],
      ]),
    },
  ];
}

function charts({ models, workers }: SlowPeersFigures): readonly ReportChart[] {
  return [
    {
      kind: 'range',
      title: 'Time to first byte of a new client',
      value: { label: 'time to first byte, ms', isLogarithmic: true },
      parts: QUARTILES,
      categories: models.map(({ name }) => name),
      series: [0, workers - 1, workers].map((slow, index) => ({
        name: withSlow(slow),
        values: models.map(({ cases }) => rangeOf(cases[index]?.firstByte)),
      })),
    },
  ];
}

function verdict(figures: SlowPeersFigures): Verdict {
  return verdictOf([
    { statement: 'as many slow clients as workers block a pool for all others', ...blocked(figures) },
    { statement: 'the queue grows until new clients are refused', ...queueGrows(figures) },
  ]);
}

const poolOf = ({ models }: SlowPeersFigures): SlowPeersModel | undefined => models.find(({ name }) => name === POOL);

/** With all workers occupied: CROWD clients are queued, and refused when the queue is full. */
function queueGrows(figures: SlowPeersFigures): Omit<Statement, 'statement'> {
  const crowd = poolOf(figures)?.crowd;
  if (crowd === undefined) return { outcome: 'undecided', because: `${sentence(POOL)} was not measured.` };
  const { answered, queued, turnedAway, inBacklog } = crowd;
  const because = `Of ${CROWD} more clients ${answered} were answered, ${queued} waited in the queue, ${inBacklog} in the kernel’s backlog, ${turnedAway} were refused.`;
  if (answered === 0 && queued > 0 && turnedAway > 0) return { outcome: 'holds', because };
  return { outcome: answered === CROWD ? 'does not hold here' : 'undecided', because };
}

function blocked(figures: SlowPeersFigures): Omit<Statement, 'statement'> {
  const { models, workers, hold } = figures;
  const pool = poolOf(figures);
  const [alone, almost, all] = [0, workers - 1, workers].map(
    (slow) => pool?.cases.find((one) => one.slow === slow)?.firstByte,
  );
  if (alone === undefined || almost === undefined || all === undefined)
    return { outcome: 'undecided', because: `${POOL} was not measured with and without ${workers} slow clients.` };
  const baseline = Math.max(alone.high, almost.high);
  if (baseline > hold / 4)
    return {
      outcome: 'undecided',
      because: `With a free worker a new client already waits ${threeDigits(baseline)} ms: too long to see the effect of slow clients that stay for ${hold} ms.`,
    };
  const result = `With ${workers - 1} of its ${workers} workers blocked by slow clients the pool answers a new client within ${threeDigits(almost.median)} ms, with all of them blocked after ${threeDigits(all.median)} ms (the slow clients stay for ${hold} ms)`;
  if (all.median >= 0.9 * hold) return { outcome: 'holds', because: `${result}${othersOf(models, workers)}.` };
  if (all.median <= hold / 4) return { outcome: 'does not hold here', because: `${result}.` };
  return {
    outcome: 'undecided',
    because: `${result}: the new client waits, but not for as long as the slow ones stay.`,
  };
}

/** '; reactor after 0.3 ms' */
function othersOf(models: readonly SlowPeersModel[], workers: number): string {
  const reactor = models.find(({ name }) => name === 'reactor')?.cases.find(({ slow }) => slow === workers);
  return reactor === undefined ? '' : `; a reactor after ${threeDigits(reactor.firstByte.median)} ms`;
}

export const slowPeers: Experiment<SlowPeersFigures> = {
  name: 'slow-peers',
  title: 'As many slow clients as workers',
  claim:
    'A pool bounds the number of threads, but recv and send still block: as many slow clients as workers block them all. The queue grows, new clients time out, and the system seems to be down.',
  source: 'post 000, claims (b) and (c)',
  setUp: `Echo servers, each in a process of its own, with a fixed number of workers if the model has one. Slow clients send one byte, get the reply, and then send nothing. Meanwhile new clients connect one at a time, then ${CROWD} at once; the pool’s queue holds ${MAX_QUEUED}.`,
  isAvailable: true,
  why: 'needs only sockets, threads and processes',
  measure,
  tables,
  charts,
  verdict,
};
