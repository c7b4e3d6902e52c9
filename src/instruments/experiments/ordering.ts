/** Post 003 (g) and (h): which models answer the requests of one connection in order. */
import { MeasuredServer } from '../measuring/measured-server.js';
import { RpcClient } from '../measuring/rpc-client.js';
import { subjectNamed } from '../measuring/subjects.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import { SERVER_MODELS } from '../../servers.js';
import type { Experiment, MeasureContext } from './experiment.js';

const PER_TASK = 'reactor-thread-per-task';
const SUB_REACTORS = ['multi-reactor', 'multi-reactor-thread-pool'];
const QUICK_MODELS = ['thread-per-connection', 'reactor', PER_TASK, 'reactor-thread-pool', 'multi-reactor'];

/** One reply. */
export interface OrderedReply {
  readonly to: 'sleep' | 'ping';
  /** When the client received it: milliseconds after it sent both requests. */
  readonly at: number;
}

/** One model. */
export interface OrderingModel {
  readonly name: string;
  /** Number of rounds: two requests and both replies. */
  readonly rounds: number;
  /** Rounds in which the second request was answered before the first. */
  readonly outOfOrder: number;
  /** The replies of the last round, in order of arrival. */
  readonly replies: readonly OrderedReply[];
}

/** The figures of this experiment. */
export interface OrderingFigures {
  /** Duration of the first request, in milliseconds. */
  readonly sleep: number;
  readonly models: readonly OrderingModel[];
}

interface Sizes {
  readonly sleep: number;
  readonly rounds: number;
}

const SIZES: Readonly<Record<MeasureContext['effort'], Sizes>> = {
  full: { sleep: 150, rounds: 3 },
  quick: { sleep: 150, rounds: 2 },
};

async function measure(context: MeasureContext): Promise<OrderingFigures> {
  const { effort, signal } = context;
  const { sleep, rounds } = SIZES[effort];
  const all = SERVER_MODELS.filter(({ applications, isAvailable }) => isAvailable && applications.includes('rpc'));
  const names = all.map(({ name }) => name).filter((name) => effort === 'full' || QUICK_MODELS.includes(name));
  const models = [];
  for (const [index, name] of names.entries()) {
    context.progress(index, names.length, name);
    await using server = await MeasuredServer.start(subjectNamed(name), { application: 'rpc', workers: 2 });
    using client = await RpcClient.connect(server.port, signal);
    let outOfOrder = 0;
    let replies: readonly OrderedReply[] = [];
    for (let i = 0; i < rounds; i++) {
      replies = await repliesOf(client, sleep);
      if (replies[0]?.to === 'ping') outOfOrder++;
    }
    models.push({ name, rounds, outOfOrder, replies });
  }
  context.progress(names.length, names.length, 'done');
  return { sleep, models };
}

/** Sends a sleep and a ping in one packet. @returns both replies */
async function repliesOf(client: RpcClient, sleep: number): Promise<OrderedReply[]> {
  const sent = performance.now();
  client.send({ in: 'sleep', params: sleep }, { in: 'ping' });
  const replies: OrderedReply[] = [];
  for (let i = 0; i < 2; i++) {
    const { out } = await client.reply();
    replies.push({ to: out === 'pong' ? 'ping' : 'sleep', at: performance.now() - sent });
  }
  return replies;
}

function tables({ models, sleep }: OrderingFigures): readonly ReportTable[] {
  return [
    {
      title: `A sleep of ${sleep} ms, then a ping, in one packet of one connection`,
      columns: ['model', 'answered first', 'out of order'],
      rows: models.map(({ name, rounds, outOfOrder }) => [
        ...[name, outOfOrder === 0 ? 'sleep' : outOfOrder === rounds ? 'ping' : 'sometimes sleep, sometimes ping'],
        `${outOfOrder} of ${rounds} times`,
      ]),
    },
  ];
}

const ARRIVALS = ['1st', '2nd'];

/** The last round of each model: when the replies to the two requests arrived. */
function charts({ models, sleep }: OrderingFigures): readonly ReportChart[] {
  return [
    {
      kind: 'timing',
      title: `From the request to its reply: a sleep of ${sleep} ms and a ping, sent in one packet`,
      time: { label: 'ms after the client sent both' },
      rows: models.map(({ name, replies }) => ({
        name,
        events: replies
          .map(({ to, at }, i) => ({
            what: to,
            ...{ from: 0, to: at, lane: to === 'sleep' ? 0 : 1, label: ARRIVALS[i] ?? '' },
            detail: `its reply arrived ${ARRIVALS[i] ?? ''}, after ${threeDigits(at)} ms`,
          }))
          .sort((a, b) => a.lane - b.lane),
      })),
    },
  ];
}

/** In a single round the order may be kept by chance. */
const MIN_ROUNDS = 2;

function verdict({ models }: OrderingFigures): Verdict {
  const perTask = models.find(({ name }) => name === PER_TASK);
  const subReactors = models.filter(({ name }) => SUB_REACTORS.includes(name));
  if (perTask === undefined || subReactors.length === 0)
    return { outcome: 'undecided', because: `${PER_TASK} or sub-reactors were not measured.` };
  const { outOfOrder, rounds } = perTask;
  const wrong = models.filter((one) => one !== perTask && one.outOfOrder > 0).map(({ name }) => name);
  const result = `A thread per task answers out of order ${outOfOrder} of ${rounds} times`;
  const unordered = subReactors.find((one) => one.outOfOrder > 0);
  if (unordered !== undefined)
    return {
      outcome: 'does not hold here',
      because: `${unordered.name} also answers out of order: ${unordered.outOfOrder} of ${unordered.rounds} times.`,
    };
  if ([perTask, ...subReactors].some((one) => one.rounds < MIN_ROUNDS))
    return {
      outcome: 'undecided',
      because: `${result}: fewer than ${MIN_ROUNDS} rounds cannot show whether order is kept.`,
    };
  if (outOfOrder === 0) return { outcome: 'does not hold here', because: `${result}: it keeps the order.` };
  const others =
    wrong.length === 0
      ? `the ${models.length - 1} other models never`
      : `so do ${wrong.join(', ')}; sub-reactors never`;
  return { outcome: 'holds', because: `${result}, ${others}.` };
}

export const ordering: Experiment<OrderingFigures> = {
  name: 'ordering',
  title: 'Answers out of order',
  claim:
    'A thread per task may answer one connection’s requests out of order; sub-reactors keep the order, because a connection stays on its thread.',
  source: 'post 003, claims (g) and (h)',
  setUp: `Every model that serves rpc, each in a process of its own. One client sends two requests in one packet, first a sleep, then a ping, and observes which reply comes first.`,
  isAvailable: true,
  why: 'needs only sockets, threads and processes',
  measure,
  tables,
  charts,
  verdict,
};
