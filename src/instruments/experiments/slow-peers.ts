/** Posts 000 (b) and (c): as many slow clients as there are workers hold up everybody else. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { sentence, threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

const POOL = 'thread-pool';
const MODELS = [POOL, 'process-pool', 'prefork', 'thread-per-connection', 'reactor'];
const QUICK_MODELS = [POOL, 'thread-per-connection', 'reactor'];
/** So many clients wait in the pool's queue at the most; the next ones are turned away. */
const MOST_QUEUED = 4;
/** More than the queue has room for. */
const CROWD = 12;

/** Fresh clients, one after the other, while so many slow ones are there. */
export interface SlowPeersCase {
  readonly slow: number;
  /** From the first packet of the connection to the first byte of the answer, in milliseconds. */
  readonly firstByte: Spread;
}

/** Clients that come at once, while there are as many slow ones as workers: where they are after half the time. */
export interface Crowd {
  readonly answered: number;
  readonly turnedAway: number;
  /** Accepted: in the server's queue, or until a thread or a process has started. */
  readonly queued: number;
  /** In the kernel's backlog: not even accepted. */
  readonly inBacklog: number;
}

export interface SlowPeersModel {
  readonly name: string;
  readonly cases: readonly SlowPeersCase[];
  readonly crowd: Crowd;
}

export interface SlowPeersFigures {
  readonly workers: number;
  /** The slow ones stay for so many milliseconds, at the most. */
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
  full: { workers: 4, hold: 1000, samples: 20, models: MODELS },
  quick: { workers: 2, hold: 300, samples: 5, models: QUICK_MODELS },
};

async function measure(context: MeasureContext): Promise<SlowPeersFigures> {
  const { effort, signal } = context;
  const { workers, hold, samples, models: names } = SIZES[effort];
  const models = [];
  for (const [index, name] of names.entries()) {
    context.progress(index, names.length, name);
    const options = { workers, ...(name === POOL ? { maxQueued: MOST_QUEUED } : {}) };
    await using server = await MeasuredServer.start(subjectNamed(name), options);
    const cases = [];
    for (const slow of [0, workers - 1, workers]) {
      using peers = await SlowPeers.come(server, slow, signal);
      cases.push({ slow, firstByte: spreadOf(await firstBytes(server, peers, { hold, samples, signal })) });
    }
    models.push({ name, cases, crowd: await crowdOf(server, { workers, hold, signal }) });
  }
  context.progress(names.length, names.length, 'done');
  return { workers, hold, models };
}

/** Each has said one byte, which was answered: a worker has it, and waits for the next, which does not come. */
class SlowPeers implements Disposable {
  readonly #clients: Client[] = [];
  haveLeft = false;

  static async come(server: MeasuredServer, count: number, signal: AbortSignal): Promise<SlowPeers> {
    const peers = new SlowPeers();
    for (let i = 0; i < count; i++) {
      const client = await Client.connect(server.port, signal);
      peers.#clients.push(client);
      client.send(Buffer.of(0));
      await client.received();
    }
    return peers;
  }

  leave(): void {
    this.haveLeft = true;
    for (const client of this.#clients) client[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.leave();
  }
}

/** Of fresh clients that come one after the other, until there are enough, or the slow ones leave. */
async function firstBytes(
  { port }: MeasuredServer,
  peers: SlowPeers,
  { hold, samples, signal }: { readonly hold: number; readonly samples: number; readonly signal: AbortSignal },
): Promise<number[]> {
  const leaving = setTimeout(() => peers.leave(), hold);
  const times: number[] = [];
  try {
    while (times.length === 0 || (times.length < samples && !peers.haveLeft)) {
      const begun = performance.now();
      using client = await Client.connect(port, signal);
      client.send(Buffer.of(0));
      await client.received();
      times.push(performance.now() - begun);
    }
  } finally {
    clearTimeout(leaving);
  }
  return times;
}

async function crowdOf(
  server: MeasuredServer,
  { workers, hold, signal }: { readonly workers: number; readonly hold: number; readonly signal: AbortSignal },
): Promise<Crowd> {
  const peers = await SlowPeers.come(server, workers, signal);
  const acceptedBefore = await acceptedBy(server);
  const clients: Client[] = [];
  let answered = 0;
  let turnedAway = 0;
  const ends = Array.from({ length: CROWD }, async () => {
    try {
      const client = await Client.connect(server.port, signal);
      clients.push(client);
      client.send(Buffer.of(0));
      if ((await client.received()) === null) turnedAway++;
      else answered++;
    } catch {
      turnedAway++; // a reset, as early as it can come
    }
  });
  await Promise.race([Promise.all(ends), sleep(hold / 2, undefined, { signal })]);
  signal.throwIfAborted();
  const accepted = (await acceptedBy(server)) - acceptedBefore;
  const crowd = { answered, turnedAway, queued: accepted - answered - turnedAway, inBacklog: CROWD - accepted };
  for (const client of clients) client[Symbol.dispose]();
  peers.leave();
  return crowd;
}

const acceptedBy = async (server: MeasuredServer): Promise<number> => (await server.stats())?.accepted ?? 0;

const withSlow = (count: number): string => (count === 1 ? 'with 1 slow client' : `with ${count} slow clients`);

function tables({ models, workers, hold }: SlowPeersFigures): readonly ReportTable[] {
  return [
    {
      title: `A fresh client’s time to first byte, ms (median), while slow ones stay for ${hold} ms`,
      columns: ['model', ...[0, workers - 1, workers].map(withSlow)],
      rows: models.map(({ name, cases }) => [name, ...cases.map(({ firstByte }) => firstByte.median)]),
    },
    {
      title: `${CROWD} more clients at once, ${withSlow(workers)}: where they are after ${hold / 2} ms`,
      columns: ['model', 'answered', 'wait in the server', 'wait in the kernel’s backlog', 'turned away'],
      rows: models.map(({ name, crowd: { answered, queued, inBacklog, turnedAway } }) => [
        ...[name, answered, queued, inBacklog, turnedAway],
      ]),
    },
  ];
}

function charts({ models, workers }: SlowPeersFigures): readonly ReportChart[] {
  return [
    {
      kind: 'bar',
      title: 'A fresh client’s time to first byte',
      value: { label: 'ms', isLogarithmic: true },
      categories: models.map(({ name }) => name),
      series: [0, workers - 1, workers].map((slow, index) => ({
        name: withSlow(slow),
        values: models.map(({ cases }) => cases[index]?.firstByte.median ?? null),
      })),
    },
  ];
}

function verdict({ models, workers, hold }: SlowPeersFigures): Verdict {
  const pool = models.find(({ name }) => name === POOL);
  const [alone, almost, all] = [0, workers - 1, workers].map(
    (slow) => pool?.cases.find((one) => one.slow === slow)?.firstByte,
  );
  if (alone === undefined || almost === undefined || all === undefined)
    return { outcome: 'undecided', because: `${POOL} was not measured with and without ${workers} slow clients.` };
  const base = Math.max(alone.high, almost.high);
  if (base > hold / 4)
    return {
      outcome: 'undecided',
      because: `With a worker to spare a fresh client waits ${threeDigits(base)} ms already: too long to see slow ones who stay for ${hold} ms.`,
    };
  const saw = `with ${workers - 1} of its ${workers} workers held by slow clients the pool answers a fresh one within ${threeDigits(almost.median)} ms, with all of them after ${threeDigits(all.median)} ms (the slow ones stay for ${hold})`;
  if (all.median >= 0.9 * hold) return { outcome: 'holds', because: `${sentence(saw)}${othersOf(models, workers)}.` };
  if (all.median <= hold / 4) return { outcome: 'does not hold here', because: `${sentence(saw)}.` };
  return { outcome: 'undecided', because: `${sentence(saw)}: it waits, but not for as long as they stay.` };
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
    'A pool bounds the threads, but recv and send still block: slow clients, as many as there are workers, hold them all. The queue grows, new clients time out, and the system seems to be down.',
  source: 'post 000, claims (b) and (c)',
  setUp: `Echo servers, each a process of its own, with a fixed number of workers where the model has one. Slow clients say one byte, get their answer, and then say nothing. Meanwhile fresh clients come one after the other, and ${CROWD} at once; the pool’s queue has room for ${MOST_QUEUED}.`,
  isAvailable: true,
  why: 'needs nothing but sockets, threads and processes',
  measure,
  tables,
  charts,
  verdict,
};
