/** Post 002 (f): events are not pre-empted, so that one long request holds up a hundred short ones. */
import { MeasuredServer } from '../measuring/measured-server.js';
import { RpcClient } from '../measuring/rpc-client.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { threeDigits } from '../report/words.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

const REACTOR = 'reactor';
const POOL = 'reactor-thread-pool';
/** Starts a thread for each request, which takes tens of milliseconds: a tenth of them says as much. */
const PER_TASK = 'reactor-thread-per-task';
const MODELS = [REACTOR, 'multi-reactor', POOL, PER_TASK];
/** Threads of the pool, and reactors. */
const WORKERS = 4;

export interface HeadOfLineModel {
  readonly name: string;
  /** Milliseconds from a short request to its answer, nobody asking for anything long. */
  readonly alone: Spread;
  /** The same, sent right behind the long one. */
  readonly behind: Spread;
  /** How many of those behind waited half of the long one's time longer than the median alone. null: alone they take as long. */
  readonly delayed: number | null;
}

export interface HeadOfLineFigures {
  /** What the long request takes, in milliseconds. */
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
  longClient.send({ in: 'ping' }); // what the first one costs is not counted
  await longClient.reply();
  const alone = await clients.ping();
  longClient.send({ in: 'sleep', params: long });
  const behind = await clients.ping();
  await longClient.reply();
  const usual = spreadOf(alone);
  const isTold = usual.high < long / 2;
  const delayed = isTold ? behind.filter((time) => time > usual.median + long / 2).length : null;
  return { name, alone: usual, behind: spreadOf(behind), delayed };
}

class RpcClients implements Disposable {
  readonly #clients: readonly RpcClient[];

  private constructor(clients: readonly RpcClient[]) {
    this.#clients = clients;
  }

  static async connect(count: number, port: number, signal: AbortSignal): Promise<RpcClients> {
    return new RpcClients(await Promise.all(Array.from({ length: count }, () => RpcClient.connect(port, signal))));
  }

  /** Each asks once, all at the same time. @returns milliseconds until each has its answer */
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
      title: `Short requests, alone and right behind one of ${long} ms`,
      columns: [
        ...['model', 'time to the answer alone, ms (median)', 'behind the long one, ms (median)'],
        'held up by it',
      ],
      rows: models.map(({ name, alone, behind, delayed }) => [
        ...[
          name,
          alone.median,
          behind.median,
          delayed === null ? 'they take as long alone' : `${delayed} of ${behind.count}`,
        ],
      ]),
    },
  ];
}

function charts({ models }: HeadOfLineFigures): readonly ReportChart[] {
  return [
    {
      kind: 'bar',
      title: 'Time to the answer of a short request (median)',
      value: { label: 'ms', isLogarithmic: true },
      categories: models.map(({ name }) => name),
      series: [
        { name: 'alone', values: models.map(({ alone }) => alone.median) },
        { name: 'behind a long one', values: models.map(({ behind }) => behind.median) },
      ],
    },
  ];
}

/** So large a share is all, or none, but for noise. */
const NEARLY_ALL = 0.9;
const HARDLY_ANY = 0.1;

function verdict({ models, long }: HeadOfLineFigures): Verdict {
  const [reactor, pool] = [REACTOR, POOL].map((one) => models.find(({ name }) => name === one));
  if (reactor === undefined || pool === undefined || Math.min(reactor.behind.count, pool.behind.count) === 0)
    return { outcome: 'undecided', because: `${REACTOR} or ${POOL} was not measured.` };
  const usual = Math.max(reactor.alone.high, pool.alone.high);
  if (usual > long / 4 || reactor.delayed === null || pool.delayed === null)
    return {
      outcome: 'undecided',
      because: `Short requests alone take ${threeDigits(usual)} ms already: too long to see one of ${long} ms.`,
    };
  const held = reactor.delayed / reactor.behind.count;
  const heldByPool = pool.delayed / pool.behind.count;
  const saw = `One request of ${long} ms holds up ${reactor.delayed} of ${reactor.behind.count} short ones on a reactor, whose median goes from ${threeDigits(reactor.alone.median)} to ${threeDigits(reactor.behind.median)} ms; with a pool of ${WORKERS} threads behind it, ${pool.delayed}`;
  if (held <= HARDLY_ANY) return { outcome: 'does not hold here', because: `${saw}.` };
  if (held >= NEARLY_ALL && heldByPool <= HARDLY_ANY) return { outcome: 'holds', because: `${saw}.` };
  return {
    outcome: 'undecided',
    because: `${saw}: ${held >= NEARLY_ALL ? 'but then it is not the reactor alone' : 'some, but not all'}.`,
  };
}

export const headOfLine: Experiment<HeadOfLineFigures> = {
  name: 'head-of-line',
  title: 'One long task delays a hundred short ones',
  claim:
    'Events are not pre-empted: one request of 100 s holds up a hundred of 1 s, so callbacks must not block. A reactor that leaves the work to threads is not held up.',
  source: 'post 002, claim (f)',
  setUp: `rpc servers, each a process of its own, with ${WORKERS} threads or reactors where the model has some. Many clients ask for a ping, all at the same time: alone, then right behind one who asks for a long sleep. Held up is who waits half of that longer than the median alone.`,
  isAvailable: true,
  why: 'needs nothing but sockets and threads',
  measure,
  tables,
  charts,
  verdict,
};
