/**
 * Post 002 (d), (e): in a reactor the program reads and writes; in a proactor the system does, and reports the completion. The system calls
 * of the server's process show which of the two happens.
 */
import { type Availability } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import { Load } from '../measuring/load.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Subject, subjectNamed } from '../measuring/subjects.js';
import { type ReportChart, type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { SyscallRecord } from '../../trace.js';
import type { Experiment, MeasureContext } from './experiment.js';

type Kind = 'reactor' | 'true proactor' | 'emulated proactor';

/** One server. */
export interface WhoCopiesRow {
  /** 'proactor:io_uring' */
  readonly subject: string;
  readonly kind: Kind;
  readonly messages: number;
  /** Calls of the process that received bytes, per message. */
  readonly reads: number;
  /** Calls of the process that sent bytes, per message. */
  readonly writes: number;
  /** Receives and sends that it started and the system carried out (WSARecv, WSASend), per message. */
  readonly started: number;
  /** All its system calls by name. */
  readonly calls: readonly { readonly name: string; readonly perMessage: number }[];
  /** Calls that were not recorded. */
  readonly dropped: number;
}

/** The figures of this experiment. */
export interface WhoCopiesFigures {
  readonly rows: readonly WhoCopiesRow[];
}

const CONNECTIONS = 4;
const SIZE = 64;
const MESSAGES: Readonly<Record<MeasureContext['effort'], number>> = { full: 4000, quick: 400 };

/** The subjects of each kind that this system has: the best reactor and emulated proactor, and every true proactor. */
function subjectsHere(): readonly { readonly kind: Kind; readonly subject: Subject }[] {
  const here = mechanismsHere.filter(({ available }) => available);
  const isEmulated = ({ mechanism }: Availability): boolean => mechanism.startsWith('emulated:');
  const named = (kind: Kind, model: string, rows: readonly Availability[]) =>
    rows.map(({ mechanism }) => ({ kind, subject: subjectNamed(`${model}:${mechanism}`) }));
  const completion = here.filter(({ kind }) => kind === 'completion');
  return [
    ...named('reactor', 'reactor', here.filter(({ kind }) => kind === 'readiness').slice(0, 1)),
    ...named(
      'true proactor',
      'proactor',
      completion.filter((row) => !isEmulated(row)),
    ),
    ...named('emulated proactor', 'proactor', completion.filter(isEmulated).slice(0, 1)),
  ];
}

// -------------------------------------------------------------------------------------------------------------- measurement

async function measure(context: MeasureContext): Promise<WhoCopiesFigures> {
  const { effort, signal } = context;
  const subjects = subjectsHere();
  const rows: WhoCopiesRow[] = [];
  for (const [i, { kind, subject }] of subjects.entries()) {
    context.progress(i, subjects.length, subject.name);
    rows.push(await rowOf(kind, subject, MESSAGES[effort], signal));
  }
  context.progress(subjects.length, subjects.length, 'done');
  return { rows };
}

async function rowOf(kind: Kind, subject: Subject, messages: number, signal: AbortSignal): Promise<WhoCopiesRow> {
  await using server = await MeasuredServer.start(subject, { isTraced: true });
  const options = { port: server.port, connections: CONNECTIONS, messages, size: SIZE };
  await using load = await Load.ready(options, signal);
  server.trace?.take(); // drops the records of connecting and warming up
  const done = await load.run();
  const records = server.trace?.take() ?? [];
  return { subject: subject.name, kind, ...counted(records, done.messages), dropped: server.trace?.dropped ?? 0 };
}

const READS: readonly string[] = ['recv', 'recvfrom', 'recvmsg', 'WSARecv'];
const WRITES: readonly string[] = ['send', 'sendto', 'sendmsg', 'WSASend'];
/** Calls that fail with WSA_IO_PENDING or complete at once. */
const OVERLAPPED: readonly string[] = ['WSARecv', 'WSASend'];

type Counted = Pick<WhoCopiesRow, 'messages' | 'reads' | 'writes' | 'started' | 'calls'>;

function counted(records: readonly SyscallRecord[], messages: number): Counted {
  const perMessage = (isOne: (record: SyscallRecord) => boolean): number => records.filter(isOne).length / messages;
  const moved = ({ name, result, error }: SyscallRecord): boolean =>
    error === null && (result > 0 || OVERLAPPED.includes(name));
  const names = [...new Set(records.map(({ name }) => name))];
  return {
    messages,
    reads: perMessage((record) => READS.includes(record.name) && moved(record)),
    writes: perMessage((record) => WRITES.includes(record.name) && moved(record)),
    started: perMessage(({ name, error }) => OVERLAPPED.includes(name) && error !== null),
    calls: names
      .map((name) => ({ name, perMessage: perMessage((record) => record.name === name) }))
      .sort((one, other) => other.perMessage - one.perMessage),
  };
}

// ------------------------------------------------------------------------------------------------------------------ verdict

/**
 * Reads per message. Each client sends its next message after the last reply, so a process that reads by itself makes one read per message.
 * The tenth is for messages that are in progress when the counting begins and ends.
 *
 * Writes are not used: there is nearly always room in the send buffer, and Windows then sends within WSASend what should only be started.
 */
const MIN_SELF = 0.9;
const MAX_SYSTEM = 0.1;
const MIN_MESSAGES = 100;

/** The statements of the two claims, by kind of server, and who reads. */
const STATEMENTS: readonly (readonly [statement: string, kind: Kind, reader: 'process' | 'system'])[] = [
  ['in a reactor the program itself reads', 'reactor', 'process'],
  ['in a proactor the system reads, and reports the completion', 'true proactor', 'system'],
  ['a proactor in the style of asyncio is a reactor underneath', 'emulated proactor', 'process'],
];

const verdict = ({ rows }: WhoCopiesFigures): Verdict =>
  verdictOf(
    STATEMENTS.map(([statement, kind, reader]) => ({
      statement,
      ...readBy(
        rows.filter((row) => row.kind === kind),
        reader,
      ),
    })),
  );

/** @param rows those of one kind */
function readBy(rows: readonly WhoCopiesRow[], reader: 'process' | 'system'): Omit<Statement, 'statement'> {
  if (rows.length === 0) return { outcome: 'not tried', because: 'This system has none.' };
  const unusable = rows.find(({ messages, dropped }) => messages < MIN_MESSAGES || dropped > 0);
  if (unusable !== undefined) {
    const { subject, dropped, messages } = unusable;
    const why = dropped > 0 ? `${dropped} calls were not recorded` : `${messages} messages are too few`;
    return { outcome: 'undecided', because: `${subject}: ${why}.` };
  }
  const readsOf = rows.map(({ subject, reads }) => `${subject} ${threeDigits(reads)}`).join(', ');
  const because = `Reads per message made by the server’s process: ${readsOf}.`;
  const found = rows.map(({ reads }) => (reads >= MIN_SELF ? 'process' : reads <= MAX_SYSTEM ? 'system' : null));
  if (found.includes(null)) return { outcome: 'undecided', because: `${because} This is neither all nor none.` };
  return { outcome: found.every((one) => one === reader) ? 'holds' : 'does not hold here', because };
}

function tables({ rows }: WhoCopiesFigures): ReportTable[] {
  return [
    {
      title: 'Who receives and sends: calls of the server’s process per message',
      columns: ['server', 'kind', 'reads', 'writes', 'only started', 'all calls'],
      rows: rows.map(({ subject, kind, reads, writes, started, calls }) => [
        subject,
        kind,
        reads,
        writes,
        started,
        calls.reduce((sum, { perMessage }) => sum + perMessage, 0),
      ]),
    },
    {
      title: 'System calls per message, by name',
      columns: ['server', 'system call', 'calls per message'],
      rows: rows.flatMap(({ subject, calls }) => calls.map(({ name, perMessage }) => [subject, name, perMessage])),
    },
  ];
}

function charts({ rows }: WhoCopiesFigures): ReportChart[] {
  const names = [...new Set(rows.flatMap(({ calls }) => calls.map(({ name }) => name)))];
  return [
    {
      kind: 'bar',
      title: 'System calls per message',
      value: { label: 'system calls per message' },
      categories: rows.map(({ subject }) => subject),
      series: names.map((name) => ({
        name,
        values: rows.map(({ calls }) => calls.find((one) => one.name === name)?.perMessage ?? 0),
      })),
      isStacked: true,
      hasCalls: true,
    },
  ];
}

const trueProactors = mechanismsHere.filter(
  ({ kind, mechanism }) => kind === 'completion' && !mechanism.startsWith('emulated:'),
);

export const whoCopies: Experiment<WhoCopiesFigures> = {
  name: 'who-copies',
  title: 'Which process makes the read',
  claim:
    'In a reactor the program itself reads and writes. In a proactor the operating system does, and reports the completion. A proactor in ' +
    'the style of asyncio on Unix is a reactor underneath.',
  source: 'post 002, claims (d) and (e); the post knew one true proactor, IOCP, and io_uring is another',
  setUp:
    `The same echo server as a reactor, as a proactor over the kernel’s completion mechanism, and as a proactor emulated over readiness. ` +
    `${CONNECTIONS} clients send ${SIZE} bytes each, and again once they are back. The system calls of the server’s process are recorded.`,
  isAvailable: trueProactors.some(({ available }) => available),
  why: trueProactors.map(({ mechanism, why }) => `${mechanism}: ${why}`).join('; '),
  measure,
  tables,
  charts,
  verdict,
};
