/** Post 002 (f): events are not pre-empted, so one long request delays a hundred short ones. */
import { MeasuredServer } from '../measuring/measured-server.js';
import { RpcClient } from '../measuring/rpc-client.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { threeDigits } from '../report/words.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

const REACTOR = 'reactor';
const POOL = 'reactor-thread-pool';
/** Starts a thread per request, which takes tens of milliseconds: a tenth of the clients suffices. */
const PER_TASK = 'reactor-thread-per-task';
const MODELS = [REACTOR, 'multi-reactor', POOL, PER_TASK];
/** Threads of the pool, and reactors. */
const WORKERS = 4;

/** One model. */
export interface HeadOfLineModel {
  readonly name: string;
  /** Milliseconds from a short request to its reply, without a long request. */
  readonly alone: Spread;
  /** The same, sent directly after the long request. */
  readonly behind: Spread;
  /** Every measurement of `alone` and of `behind`, in milliseconds. */
  readonly times: { readonly alone: readonly number[]; readonly behind: readonly number[] };
  /** Requests of `behind` that took longer than the median of `alone` plus half the long request. null: they take that long alone. */
  readonly delayed: number | null;
}

/** The figures of this experiment. */
export interface HeadOfLineFigures {
  /** Duration of the long request, in milliseconds. */
  readonly long: number;
  readonly models: readonly HeadOfLineModel[];
}

interface Sizes {
  readonly long: number;
  readonly short: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { long: 1000, short: 100 },
  quick: { long: 300, short: 20 },
};

async function measure(context: MeasureContext): Promise<HeadOfLineFigures> {
  const { effort, signal } = context;
  const sizes = SIZES[effort];
  const models = [];
  for (const [index, name] of MODELS.entries()) {
    context.progress(index, MODELS.length, name);
    models.push(await delaysOf(name, sizes, signal));
  }
  context.progress(MODELS.length, MODELS.length, 'done');
  return { long: sizes.long, models };
}

async function delaysOf(name: string, { long, short }: Sizes, signal: AbortSignal): Promise<HeadOfLineModel> {
  await using server = await MeasuredServer.start(subjectNamed(name), { application: 'rpc', workers: WORKERS });
  using longClient = await RpcClient.connect(server.port, signal);
  using clients = await RpcClients.connect(name === PER_TASK ? short / 10 : short, server.port, signal);
  longClient.send({ in: 'ping' }); // the first request is a warm-up
  await longClient.reply();
  const alone = await clients.ping();
  longClient.send({ in: 'sleep', params: long });
  const behind = await clients.ping();
  await longClient.reply();
  const aloneSpread = spreadOf(alone);
  const isMeasurable = aloneSpread.high < long / 2;
  const delayed = isMeasurable ? behind.filter((time) => time > aloneSpread.median + long / 2).length : null;
  return { name, alone: aloneSpread, behind: spreadOf(behind), times: { alone, behind }, delayed };
}

/** Several rpc clients that send at once. */
class RpcClients implements Disposable {
  readonly #clients: readonly RpcClient[];

  private constructor(clients: readonly RpcClient[]) {
    this.#clients = clients;
  }

  static async connect(count: number, port: number, signal: AbortSignal): Promise<RpcClients> {
    return new RpcClients(await Promise.all(Array.from({ length: count }, () => RpcClient.connect(port, signal))));
  }

  /** All clients send one ping at the same time. @returns milliseconds until the reply of each */
  ping(): Promise<number[]> {
    return Promise.all(
      this.#clients.map(async (client) => {
        const begun = performance.now();
        client.send({ in: 'ping' });
        await client.reply();
        return performance.now() - begun;
      }),
    );
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client[Symbol.dispose]();
  }
}

function tables({ models, long }: HeadOfLineFigures): readonly ReportTable[] {
  return [
    {
      title: `Short requests, alone and directly after one of ${long} ms`,
      columns: [
        ...['model', 'time to reply alone, ms (median)', 'maximum', 'after the long request, ms (median)', 'maximum'],
        'delayed by it',
      ],
      rows: models.map(({ name, alone, behind, times, delayed }) => [
        ...[name, alone.median, Math.max(...times.alone), behind.median, Math.max(...times.behind)],
        delayed === null ? 'as slow alone' : `${delayed} of ${behind.count}`,
      ]),
    },
  ];
}

/** All measurements: a median hides the few that wait. */
function charts({ models, long }: HeadOfLineFigures): readonly ReportChart[] {
  const rangesOf = (part: 'alone' | 'behind') =>
    models.map(({ times, [part]: { median } }) => {
      const dots = times[part];
      return { low: Math.min(...dots), mid: median, high: Math.max(...dots), dots };
    });
  return [
    {
      kind: 'range',
      title: 'Time to reply of each short request',
      value: { label: 'time to reply, ms', isLogarithmic: true },
      categories: models.map(({ name }) => name),
      parts: ['minimum', 'median', 'maximum'],
      series: [
        { name: 'alone', values: rangesOf('alone') },
        { name: `directly after a request of ${long} ms`, values: rangesOf('behind') },
      ],
    },
  ];
}

/** Shares that count as all and as none: the rest is noise. */
const NEARLY_ALL = 0.9;
const NEARLY_NONE = 0.1;

function verdict({ models, long }: HeadOfLineFigures): Verdict {
  const [reactor, pool] = [REACTOR, POOL].map((one) => models.find(({ name }) => name === one));
  if (reactor === undefined || pool === undefined || Math.min(reactor.behind.count, pool.behind.count) === 0)
    return { outcome: 'undecided', because: `${REACTOR} or ${POOL} was not measured.` };
  const baseline = Math.max(reactor.alone.high, pool.alone.high);
  if (baseline > long / 4 || reactor.delayed === null || pool.delayed === null)
    return {
      outcome: 'undecided',
      because: `Short requests alone already take ${threeDigits(baseline)} ms: too long to see the effect of one of ${long} ms.`,
    };
  const delayedByReactor = reactor.delayed / reactor.behind.count;
  const delayedByPool = pool.delayed / pool.behind.count;
  const result = `One request of ${long} ms delays ${reactor.delayed} of ${reactor.behind.count} short ones on a reactor, and their median rises from ${threeDigits(reactor.alone.median)} to ${threeDigits(reactor.behind.median)} ms; with a pool of ${WORKERS} threads behind it, ${pool.delayed}`;
  if (delayedByReactor <= NEARLY_NONE) return { outcome: 'does not hold here', because: `${result}.` };
  if (delayedByReactor >= NEARLY_ALL && delayedByPool <= NEARLY_NONE)
    return { outcome: 'holds', because: `${result}.` };
  return {
    outcome: 'undecided',
    because: `${result}: ${delayedByReactor >= NEARLY_ALL ? 'not the reactor alone' : 'some, but not all'}.`,
  };
}

export const headOfLine: Experiment<HeadOfLineFigures> = {
  name: 'head-of-line',
  title: 'One long task delays a hundred short ones',
  claim:
    'Events are not pre-empted: one request of 100 s delays a hundred of 1 s, so callbacks must not block. A reactor that passes the work to threads is not delayed.',
  source: 'post 002, claim (f)',
  setUp: `rpc servers, each in a process of its own, with ${WORKERS} threads or reactors if the model has several. Many clients send a ping at the same time: first alone, then directly after another client’s long sleep. A request is delayed if it takes longer than the median alone plus half the sleep.`,
  isAvailable: true,
  why: 'needs only sockets and threads',
  measure,
  tables,
  charts,
  verdict,
};
