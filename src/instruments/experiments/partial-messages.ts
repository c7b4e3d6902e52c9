/**
 * Post 001: TCP carries a stream of bytes, which knows no messages. What one side sends in one write, the other may read in two, and what was sent
 * in two it may read in one.
 */
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { REQUEST_LENGTH, requests, rightAnswers } from '../measuring/numbered-requests.js';
import { subjectNamed } from '../measuring/subjects.js';
import { until } from '../measuring/until.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import type { SyscallRecord } from '../../trace.js';
import type { Experiment, MeasureContext } from './experiment.js';

export interface PartialMessagesRow {
  readonly model: string;
  readonly delivery: string;
  readonly frames: number;
  /** Of the client: as many as there are pieces. */
  readonly writes: number;
  /** Of the server, that brought bytes. null: it makes none, for the kernel does (io_uring). */
  readonly reads: number | null;
  /** Frames that were answered with what they asked for, in their order. */
  readonly right: number;
}

export interface PartialMessagesFigures {
  readonly rows: readonly PartialMessagesRow[];
}

const MODELS: Readonly<Record<MeasureContext['effort'], readonly string[]>> = {
  full: ['iterative', 'thread-pool', 'prefork', 'reactor', 'multi-reactor', 'reactor-thread-pool', 'proactor'],
  quick: ['thread-pool', 'reactor', 'proactor'],
};
const WORKERS = 2;

// ---------------------------------------------------------------------------------------------------------- what is sent

/** The bytes, cut after so many each. */
function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

interface Delivery {
  readonly name: string;
  readonly frames: number;
  /** What goes out in a write of its own each. The next one is written when the server has read this one. */
  readonly pieces: readonly Buffer[];
}

const HALVES = 'each frame in two, cut at every byte';
const TOGETHER = 'many frames a write';

const DELIVERIES: readonly Delivery[] = [
  { name: 'a frame a write', frames: 20, pieces: requests(20) },
  {
    name: HALVES,
    frames: REQUEST_LENGTH - 1,
    pieces: requests(REQUEST_LENGTH - 1).flatMap((bytes, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]),
  },
  { name: 'byte by byte', frames: 2, pieces: requests(2).flatMap((bytes) => cut(bytes, 1)) },
  { name: TOGETHER, frames: 100, pieces: [Buffer.concat(requests(100))] },
  {
    name: 'one and a half a write',
    frames: 30,
    pieces: cut(Buffer.concat(requests(30)), Math.floor(1.5 * REQUEST_LENGTH)),
  },
];

// ------------------------------------------------------------------------------------------------------ how it is measured

async function measure(context: MeasureContext): Promise<PartialMessagesFigures> {
  const { effort, signal } = context;
  const models = MODELS[effort];
  const rows: PartialMessagesRow[] = [];
  for (const [i, model] of models.entries()) {
    context.progress(i, models.length, model);
    rows.push(...(await rowsOf(model, signal)));
  }
  context.progress(models.length, models.length, 'done');
  return { rows };
}

async function rowsOf(model: string, signal: AbortSignal): Promise<PartialMessagesRow[]> {
  const options = { application: 'rpc', workers: WORKERS, isTraced: true } as const;
  await using server = await MeasuredServer.start(subjectNamed(model), options);
  const rows = [];
  for (const delivery of DELIVERIES) rows.push(await deliver(server, model, delivery, signal));
  return rows;
}

async function deliver(
  server: MeasuredServer,
  model: string,
  { name, frames, pieces }: Delivery,
  signal: AbortSignal,
): Promise<PartialMessagesRow> {
  using client = await Client.connect(server.port, signal);
  const received = async (): Promise<number> => (await server.stats())?.bytesIn ?? 0;
  server.trace?.take(); // what was before
  let expected = await received();
  for (const piece of pieces) {
    client.send(piece);
    expected += piece.length;
    await until('the server reads what was sent', async () => (await received()) === expected, signal);
  }
  const right = await rightAnswers(client, frames);
  const reads = server.trace?.take().filter(isRead).length ?? 0;
  await client.leave();
  return { model, delivery: name, frames, writes: pieces.length, reads: reads === 0 ? null : reads, right };
}

const READS: readonly string[] = ['recv', 'recvfrom'];

/** WSARecv is started before the bytes are there, and tells later how many they were: each counts. */
const isRead = ({ name, result }: SyscallRecord): boolean => name === 'WSARecv' || (READS.includes(name) && result > 0);

// ------------------------------------------------------------------------------------------------------ what the figures say

function verdict({ rows }: PartialMessagesFigures): Verdict {
  const wrong = rows.find(({ right, frames }) => right < frames);
  if (wrong !== undefined) {
    const { model, delivery, right, frames } = wrong;
    return {
      outcome: 'does not hold here',
      because: `${model} answered ${right} of ${frames} frames rightly that were sent ${delivery}: what is left over of a read is lost`,
    };
  }
  const countedOf = (wanted: string) =>
    rows.flatMap(({ delivery, reads, frames }) => (delivery === wanted && reads !== null ? [reads / frames] : []));
  const halves = countedOf(HALVES);
  const together = countedOf(TOGETHER);
  if (halves.length === 0 || together.length === 0)
    return { outcome: 'undecided', because: 'no model’s reads were seen, neither of half frames nor of many at once' };
  const frames = rows.reduce((sum, row) => sum + row.frames, 0);
  const [fewest, most] = [Math.min(...halves).toFixed(2), Math.max(...together).toFixed(2)];
  const figures = `a frame cut in two took ${fewest} reads or more, one of many in a write ${most} or fewer`;
  // Frames were reads, if both were 1.
  return Math.min(...halves) > 1 && Math.max(...together) < 1
    ? { outcome: 'holds', because: `${figures}; all ${frames} frames were answered rightly all the same` }
    : { outcome: 'does not hold here', because: `${figures}: a read is a frame here` };
}

function tables({ rows }: PartialMessagesFigures): ReportTable[] {
  return [
    {
      title: 'Frames, writes and reads',
      columns: ['model', 'sent', 'frames', 'writes', 'reads', 'reads a frame', 'answered rightly'],
      rows: rows.map(({ model, delivery, frames, writes, reads, right }) => [
        model,
        delivery,
        frames,
        writes,
        reads,
        reads === null ? null : reads / frames,
        right,
      ]),
    },
  ];
}

function charts({ rows }: PartialMessagesFigures): ReportChart[] {
  const counted = rows.filter(({ reads }) => reads !== null);
  const categories = [...new Set(counted.map(({ delivery }) => delivery))];
  const models = [...new Set(counted.map(({ model }) => model))];
  const valueOf = (model: string, delivery: string): number | null => {
    const row = counted.find((one) => one.model === model && one.delivery === delivery);
    return row === undefined ? null : (row.reads ?? 0) / row.frames;
  };
  return [
    {
      kind: 'bar',
      title: 'How many reads a frame takes, by how it was sent',
      value: { label: 'reads a frame', isLogarithmic: true },
      categories,
      series: models.map((name) => ({ name, values: categories.map((delivery) => valueOf(name, delivery)) })),
    },
  ];
}

export const partialMessages: Experiment<PartialMessagesFigures> = {
  name: 'partial-messages',
  title: 'Half frames and sticky frames',
  claim:
    'A read is not a message: several frames may arrive in one, half a frame in another. What is left stays in the connection’s buffer, ' +
    'and the length before each frame says where it ends.',
  source: 'post 001, its system',
  setUp:
    `One client asks rpc servers of several models, in frames of ${REQUEST_LENGTH} bytes: whole, cut in two at every byte, byte by byte, many in ` +
    'one write, one and a half a write. It writes the next piece when the server has read the last one. The reads are those of the ' +
    'server’s trace that brought bytes; a proactor over io_uring makes none.',
  isAvailable: true,
  why: 'needs nothing but sockets',
  measure,
  tables,
  charts,
  verdict,
};
