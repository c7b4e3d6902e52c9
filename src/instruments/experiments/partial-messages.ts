/**
 * Post 001: TCP is a byte stream without message boundaries. The bytes of one write may arrive in two reads, and those of two writes in one
 * read.
 */
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { REQUEST_LENGTH, requests, countCorrectReplies } from '../measuring/numbered-requests.js';
import { subjectNamed } from '../measuring/subjects.js';
import { until } from '../measuring/until.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import type { SyscallRecord } from '../../trace.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One model and one way of splitting frames into writes. */
export interface PartialMessagesRow {
  readonly model: string;
  /** How the frames were split into writes. */
  readonly delivery: string;
  readonly frames: number;
  /** Writes of the client: one per piece. */
  readonly writes: number;
  /** Reads of the server that returned bytes. null: none, because the kernel reads (io_uring). */
  readonly reads: number | null;
  /** Frames with a correct reply, in order. */
  readonly right: number;
}

/** The figures of this experiment. */
export interface PartialMessagesFigures {
  readonly rows: readonly PartialMessagesRow[];
}

const MODELS: Readonly<Record<MeasureContext['effort'], readonly string[]>> = {
  full: ['iterative', 'thread-pool', 'prefork', 'reactor', 'multi-reactor', 'proactor'],
  quick: ['thread-pool', 'reactor', 'proactor'],
};
const WORKERS = 2;

// --------------------------------------------------------------------------------------------------------------- deliveries

/** Splits bytes into pieces of `size` bytes. */
function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

interface Delivery {
  readonly name: string;
  readonly frames: number;
  /** One write each. The next piece is written once the server has read this one. */
  readonly pieces: readonly Buffer[];
}

const HALVES = 'each frame in two, cut at every byte';
const TOGETHER = 'many frames per write';

const DELIVERIES: readonly Delivery[] = [
  { name: 'one frame per write', frames: 20, pieces: requests(20) },
  {
    name: HALVES,
    frames: REQUEST_LENGTH - 1,
    pieces: requests(REQUEST_LENGTH - 1).flatMap((bytes, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]),
  },
  { name: 'byte by byte', frames: 2, pieces: requests(2).flatMap((bytes) => cut(bytes, 1)) },
  { name: TOGETHER, frames: 100, pieces: [Buffer.concat(requests(100))] },
  {
    name: 'one and a half frames per write',
    frames: 30,
    pieces: cut(Buffer.concat(requests(30)), Math.floor(1.5 * REQUEST_LENGTH)),
  },
];

// -------------------------------------------------------------------------------------------------------------- measurement

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
  const bytesReceived = async (): Promise<number> => (await server.stats())?.bytesIn ?? 0;
  server.trace?.take(); // drops earlier records
  let expected = await bytesReceived();
  for (const piece of pieces) {
    client.send(piece);
    expected += piece.length;
    await until('the server reads what was sent', async () => (await bytesReceived()) === expected, signal);
  }
  const right = await countCorrectReplies(client, frames);
  const reads = server.trace?.take().filter(isRead).length ?? 0;
  await client.end();
  return { model, delivery: name, frames, writes: pieces.length, reads: reads === 0 ? null : reads, right };
}

const READS: readonly string[] = ['recv', 'recvfrom'];

/** WSARecv is started before the bytes arrive, and its result is known later: each one counts. */
const isRead = ({ name, result }: SyscallRecord): boolean => name === 'WSARecv' || (READS.includes(name) && result > 0);

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict({ rows }: PartialMessagesFigures): Verdict {
  const countedOf = (wanted: string) =>
    rows.flatMap(({ delivery, reads, frames }) => (delivery === wanted && reads !== null ? [reads / frames] : []));
  const halves = countedOf(HALVES);
  const together = countedOf(TOGETHER);
  const wrong = rows.find(({ right, frames }) => right < frames);
  const frames = rows.reduce((sum, row) => sum + row.frames, 0);
  const byReads = (statement: string, values: readonly number[], isSo: boolean, because: string): Statement =>
    values.length === 0
      ? { statement, outcome: 'not tried', because: 'No model’s reads were recorded.' }
      : { statement, outcome: isSo ? 'holds' : 'does not hold here', because };
  return verdictOf([
    byReads(
      'a read may return half a frame',
      halves,
      Math.min(...halves) > 1,
      `A frame cut in two took at least ${Math.min(...halves).toFixed(2)} reads.`,
    ),
    byReads(
      'a read may return several frames',
      together,
      Math.max(...together) < 1,
      `One of many frames in a write took at most ${Math.max(...together).toFixed(2)} reads.`,
    ),
    {
      statement: 'with a buffer for incomplete bytes every frame is answered',
      outcome: wrong !== undefined ? 'does not hold here' : frames > 0 ? 'holds' : 'undecided',
      because:
        wrong === undefined
          ? `All ${frames} frames were answered correctly.`
          : `${wrong.model} answered ${wrong.right} of ${wrong.frames} frames correctly that were sent ${wrong.delivery}.`,
    },
  ]);
}

function tables({ rows }: PartialMessagesFigures): ReportTable[] {
  return [
    {
      title: 'Frames, writes and reads',
      columns: ['model', 'sent', 'frames', 'writes', 'reads', 'reads per frame', 'correct replies'],
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
      title: 'Reads per frame, by how it was sent',
      value: { label: 'reads per frame' },
      categories,
      series: models.map((name) => ({ name, values: categories.map((delivery) => valueOf(name, delivery)) })),
    },
  ];
}

export const partialMessages: Experiment<PartialMessagesFigures> = {
  name: 'partial-messages',
  title: 'Half frames and sticky frames',
  claim:
    'A read is not a message: one read may return several frames, another half a frame. Incomplete bytes stay in the connection’s buffer, ' +
    'and the length before each frame shows where it ends.',
  source: 'post 001, its system',
  setUp:
    `One client sends requests to rpc servers of several models, in frames of ${REQUEST_LENGTH} bytes: whole, cut in two at every byte, byte by ` +
    'byte, many per write, one and a half per write. It writes the next piece once the server has read the last one. The reads are those ' +
    'in the server’s trace that returned bytes; a proactor over io_uring makes none.',
  isAvailable: true,
  why: 'needs only sockets',
  measure,
  tables,
  charts,
  verdict,
};
