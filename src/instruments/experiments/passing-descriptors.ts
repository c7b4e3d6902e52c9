/** Post 003 (e): passing descriptors to processes, against a lock around accept (Stevens, UNIX Network Programming, chapter 30). */
import { MeasuredServer } from '../measuring/measured-server.js';
import { shortConnections } from '../measuring/short-connections.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import { allSubjects, subjectNamed } from '../measuring/subjects.js';
import { QUARTILES, rangeOf } from '../report/quartiles.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One server. */
export interface PassingSubject {
  readonly name: string;
  /** Connections per second, one at a time. */
  readonly rate: Spread;
}

/** The figures of this experiment. */
export interface PassingFigures {
  readonly subjects: readonly PassingSubject[];
}

/** Each pair: a server that passes descriptors, and one with a lock. */
const PAIRS = [
  ['textbook:process-pool', 'textbook:prefork:lock'],
  ['process-pool', 'prefork:lock'],
] as const;
const WORKERS = 4;
const SIZES: Readonly<Record<MeasureContext['effort'], { readonly connections: number; readonly rounds: number }>> = {
  full: { connections: 200, rounds: 3 },
  quick: { connections: 40, rounds: 2 },
};
/** Before the rounds that count. */
const WARM_UP_ROUNDS = 1;

async function measure(context: MeasureContext): Promise<PassingFigures> {
  const { effort, signal } = context;
  const { connections, rounds } = SIZES[effort];
  const here = allSubjects().filter(({ isAvailable }) => isAvailable);
  const names = PAIRS.flat().filter((name) => here.some((row) => row.name.startsWith(name)));
  await using servers = new Servers();
  for (const name of names) await servers.start(name, signal);
  const rates = new Map<string, number[]>(names.map((name) => [name, []]));
  const total = (WARM_UP_ROUNDS + rounds) * names.length;
  let done = 0;
  // Interleaved: a machine that is slow for a while is slow for all.
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    for (const name of names) {
      context.progress(done++, total, name);
      const { perSecond } = await shortConnections({ port: servers.portOf(name), connections, concurrency: 1 }, signal);
      if (round >= WARM_UP_ROUNDS) rates.get(name)?.push(perSecond);
    }
  }
  context.progress(total, total, 'done');
  return { subjects: Array.from(rates, ([name, values]) => ({ name, rate: spreadOf(values) })) };
}

/** Servers that run side by side; one is measured at a time. */
class Servers implements AsyncDisposable {
  readonly #servers = new Map<string, MeasuredServer>();

  async start(name: string, signal: AbortSignal): Promise<void> {
    this.#servers.set(name, await MeasuredServer.start(subjectNamed(name), { workers: WORKERS, signal }));
  }

  portOf(name: string): number {
    return this.#servers.get(name)?.port ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server[Symbol.asyncDispose]()));
  }
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/** Share of the other one's connections per second up to which a server counts as slower, and from which on it does not. */
const MAX_SLOWER = 0.9;
const MIN_EQUAL = 0.98;

const show = ({ median, low, high }: Spread): string =>
  `${threeDigits(median)} connections/s (${threeDigits(low)} to ${threeDigits(high)})`;

function verdict({ subjects }: PassingFigures): Verdict {
  return verdictOf(
    PAIRS.map(([passing, locking]): Statement => {
      const statement = `${passing} is slower than ${locking}`;
      const [one, other] = [passing, locking].map((name) => subjects.find((subject) => subject.name === name)?.rate);
      if (one === undefined || other === undefined)
        return { statement, outcome: 'not tried', because: 'This system does not have both.' };
      const because = `${show(one)} against ${show(other)}, one at a time.`;
      const share = one.median / other.median;
      if (share <= MAX_SLOWER) return { statement, outcome: 'holds', because };
      if (share >= MIN_EQUAL) return { statement, outcome: 'does not hold here', because };
      return { statement, outcome: 'undecided', because: `${because} They are too near to each other.` };
    }),
  );
}

function tables({ subjects }: PassingFigures): readonly ReportTable[] {
  return [
    {
      title: 'Connections per second, one at a time: connect, 64 bytes there and back, close',
      columns: ['server', 'rounds', 'median', 'first quartile', 'third quartile'],
      rows: subjects.map(({ name, rate: { count, median, low, high } }) => [name, count, median, low, high]),
    },
  ];
}

function charts({ subjects }: PassingFigures): readonly ReportChart[] {
  return [
    {
      kind: 'range',
      title: 'Passing a descriptor, or a lock',
      value: { label: 'connections/s' },
      parts: QUARTILES,
      categories: subjects.map(({ name }) => name),
      series: [{ name: 'connections/s', values: subjects.map(({ rate }) => rangeOf(rate)) }],
    },
  ];
}

export const passingDescriptors: Experiment<PassingFigures> = {
  name: 'passing-descriptors',
  title: 'Passing a descriptor, or a lock around accept',
  claim: 'Passing descriptors to the processes that serve costs more than a lock around accept.',
  source: 'post 003, claim (e)',
  setUp: `Servers with ${WORKERS} processes: in C (textbook), and the models of this package. Clients connect one at a time, in interleaved rounds.`,
  isAvailable: process.platform !== 'win32',
  why: process.platform === 'win32' ? 'on Windows no descriptors are passed' : 'needs only sockets and processes',
  measure,
  tables,
  charts,
  verdict,
};
