/** Post 002 (a): the plain loop serves one client at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { subjectNamed } from '../measuring/subjects.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One server model. */
export interface OneAtATimeModel {
  readonly name: string;
  /** Milliseconds from the connect of a second client to its reply, while the first one is connected. */
  readonly second: Spread;
}

/** The figures of this experiment. */
export interface OneAtATimeFigures {
  /** Milliseconds for which the first client stays. */
  readonly hold: number;
  readonly models: readonly OneAtATimeModel[];
}

const ITERATIVE = 'iterative';
const OTHERS = ['thread-per-connection', 'process-per-connection', 'reactor'];
/** Before the rounds that count: the first connection starts a thread or a process for the first time. */
const WARM_UP_ROUNDS = 1;
const SIZES: Readonly<Record<MeasureContext['effort'], { readonly hold: number; readonly rounds: number }>> = {
  full: { hold: 500, rounds: 1 },
  quick: { hold: 500, rounds: 2 },
};

async function measure(context: MeasureContext): Promise<OneAtATimeFigures> {
  const { effort, signal } = context;
  const { hold, rounds } = SIZES[effort];
  const names = [ITERATIVE, ...OTHERS];
  const models: OneAtATimeModel[] = [];
  for (const [index, name] of names.entries()) {
    context.progress(index, names.length, name);
    await using server = await MeasuredServer.start(subjectNamed(name), { signal });
    const times: number[] = [];
    for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) times.push(await secondClient(server, hold, signal));
    models.push({ name, second: spreadOf(times.slice(WARM_UP_ROUNDS)) });
  }
  context.progress(names.length, names.length, 'done');
  return { hold, models };
}

/** The first client is served, then silent for `hold` milliseconds; the second one comes at once. @returns the second one's time */
async function secondClient({ port }: MeasuredServer, hold: number, signal: AbortSignal): Promise<number> {
  using first = await Client.connect(port, signal);
  first.send(Buffer.of(1));
  await first.receive();
  const leaves = sleep(hold, undefined, { signal }).then(() => first.end());
  leaves.catch(() => undefined); // awaited below; an abort before that is reported by the second client
  const begun = performance.now();
  using second = await Client.connect(port, signal);
  second.send(Buffer.of(2));
  await second.receive();
  const time = performance.now() - begun;
  await leaves;
  await second.end();
  return time;
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict({ hold, models }: OneAtATimeFigures): Verdict {
  const statements = models.map(({ name, second }): Statement => {
    const isIterative = name === ITERATIVE;
    const waits = second.low >= 0.9 * hold ? true : second.high <= hold / 2 ? false : null;
    return {
      statement: isIterative
        ? `${name}: the second client waits until the first one has left`
        : `${name}: the second client is served meanwhile`,
      outcome: waits === null ? 'undecided' : waits === isIterative ? 'holds' : 'does not hold here',
      because: `Its reply takes ${threeDigits(second.median)} ms (${threeDigits(second.low)} to ${threeDigits(second.high)}); the first client stays for ${hold} ms.`,
    };
  });
  if (statements.length === 0) return { outcome: 'undecided', because: 'Nothing was measured.' };
  return verdictOf(statements);
}

function tables({ hold, models }: OneAtATimeFigures): readonly ReportTable[] {
  return [
    {
      title: `Reply to a second client while the first one stays for ${hold} ms`,
      columns: ['model', 'rounds', 'median, ms', 'first quartile, ms', 'third quartile, ms'],
      rows: models.map(({ name, second: { count, median, low, high } }) => [name, count, median, low, high]),
    },
  ];
}

function charts({ models }: OneAtATimeFigures): readonly ReportChart[] {
  return [
    {
      kind: 'range',
      title: 'Reply to a second client',
      value: { label: 'time to reply, ms', isLogarithmic: true },
      parts: QUARTILES,
      categories: models.map(({ name }) => name),
      series: [{ name: 'second client', values: models.map(({ second }) => rangeOf(second)) }],
    },
  ];
}

export const oneAtATime: Experiment<OneAtATimeFigures> = {
  name: 'one-at-a-time',
  title: 'One client at a time',
  claim: 'The plain loop (accept, recv, send, close) serves one client at a time: a second one waits for the first.',
  source: 'post 002, claim (a)',
  setUp:
    'Echo servers, each in a process of its own. A client is served, and then stays connected in silence. A second client connects and sends a byte. A new process is a Node program here, which takes some 100 ms to start.',
  isAvailable: true,
  why: 'needs only sockets',
  measure,
  tables,
  charts,
  verdict,
};
