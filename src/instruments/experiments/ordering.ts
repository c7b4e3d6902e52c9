/** Post 003 (g) and (h): which models answer the requests of one connection in their order. */
import { MeasuredServer } from '../measuring/measured-server.js';
import { RpcClient } from '../measuring/rpc-client.js';
import { subjectNamed } from '../measuring/subjects.js';
import type { ReportTable, Verdict } from '../report/report.js';
import { SERVER_MODELS } from '../../servers.js';
import type { Experiment, MeasureContext } from './experiment.js';

const PER_TASK = 'reactor-thread-per-task';
const SUB_REACTORS = ['multi-reactor', 'multi-reactor-thread-pool'];
const QUICK_MODELS = ['thread-per-connection', 'reactor', PER_TASK, 'reactor-thread-pool', 'multi-reactor'];

export interface OrderingModel {
  readonly name: string;
  /** How often both were answered, */
  readonly rounds: number;
  /** and how often the second request before the first. */
  readonly outOfOrder: number;
}

export interface OrderingFigures {
  /** What the first request takes, in milliseconds. */
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
    for (let i = 0; i < rounds; i++) {
      client.send({ in: 'sleep', params: sleep }, { in: 'ping' });
      const [first] = [await client.reply(), await client.reply()];
      if (first.out === 'pong') outOfOrder++;
    }
    models.push({ name, rounds, outOfOrder });
  }
  context.progress(names.length, names.length, 'done');
  return { sleep, models };
}

function tables({ models, sleep }: OrderingFigures): readonly ReportTable[] {
  return [
    {
      title: `A sleep of ${sleep} ms, then a ping, in one packet of one connection`,
      columns: ['model', 'answered first', 'out of order'],
      rows: models.map(({ name, rounds, outOfOrder }) => [
        ...[name, outOfOrder === 0 ? 'sleep' : outOfOrder === rounds ? 'ping' : 'now sleep, now ping'],
        `${outOfOrder} of ${rounds} times`,
      ]),
    },
  ];
}

/** Fewer do not tell whether order is kept, or just happened. */
const FEWEST_ROUNDS = 2;

function verdict({ models }: OrderingFigures): Verdict {
  const perTask = models.find(({ name }) => name === PER_TASK);
  const subReactors = models.filter(({ name }) => SUB_REACTORS.includes(name));
  if (perTask === undefined || subReactors.length === 0)
    return { outcome: 'undecided', because: `${PER_TASK} or sub-reactors were not measured.` };
  const { outOfOrder, rounds } = perTask;
  const wrong = models.filter((one) => one !== perTask && one.outOfOrder > 0).map(({ name }) => name);
  const saw = `A thread for each task answers out of order ${outOfOrder} of ${rounds} times`;
  const unruly = subReactors.find((one) => one.outOfOrder > 0);
  if (unruly !== undefined)
    return {
      outcome: 'does not hold here',
      because: `${unruly.name} answers out of order, too: ${unruly.outOfOrder} of ${unruly.rounds} times.`,
    };
  if ([perTask, ...subReactors].some((one) => one.rounds < FEWEST_ROUNDS))
    return {
      outcome: 'undecided',
      because: `${saw}: fewer than ${FEWEST_ROUNDS} rounds do not tell whether order is kept.`,
    };
  if (outOfOrder === 0) return { outcome: 'does not hold here', because: `${saw}: it keeps the order.` };
  const others =
    wrong.length === 0
      ? `the ${models.length - 1} other models never`
      : `so do ${wrong.join(', ')}; sub-reactors never`;
  return { outcome: 'holds', because: `${saw}, ${others}.` };
}

export const ordering: Experiment<OrderingFigures> = {
  name: 'ordering',
  title: 'Answers out of order',
  claim:
    'A thread for each task may answer one connection’s requests out of order; sub-reactors keep the order, since a connection stays on its thread.',
  source: 'post 003, claims (g) and (h)',
  setUp: `Every model that serves rpc, each in a process of its own. One client sends two requests in one packet, first a sleep, then a ping; what counts is which answer comes first.`,
  isAvailable: true,
  why: 'needs nothing but sockets, threads and processes',
  measure,
  tables,
  charts: () => [],
  verdict,
};
