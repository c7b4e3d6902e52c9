/**
 * Post 002 (d), (e): in a reactor the program reads and writes; in a proactor the system does, and reports that it has. Which of the two is at
 * work is seen by the system calls that the server's process makes.
 */
import { type Availability } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import { Load } from '../measuring/load.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { type Subject, subjectNamed } from '../measuring/subjects.js';
import type { ReportChart, ReportTable, Verdict } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { SyscallRecord } from '../../trace.js';
import type { Experiment, MeasureContext } from './experiment.js';

type Kind = 'reactor' | 'true proactor' | 'emulated proactor';

export interface WhoCopiesRow {
  /** 'proactor:io_uring' */
  readonly subject: string;
  readonly kind: Kind;
  readonly messages: number;
  /** Calls of the process that received bytes, a message. */
  readonly reads: number;
  /** Calls of the process that sent bytes, a message. */
  readonly writes: number;
  /** Receives and sends that it only started, and the system carried out (WSARecv, WSASend), a message. */
  readonly started: number;
  /** All its system calls. */
  readonly calls: readonly { readonly name: string; readonly perMessage: number }[];
  /** Calls that were not recorded. */
  readonly dropped: number;
}

export interface WhoCopiesFigures {
  readonly rows: readonly WhoCopiesRow[];
}

const CONNECTIONS = 4;
const SIZE = 64;
const MESSAGES: Readonly<Record<MeasureContext['effort'], number>> = { full: 4000, quick: 400 };

/** Of each kind what this system has, the best where there is a choice. */
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

// ------------------------------------------------------------------------------------------------------ how it is measured

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
  server.trace?.take(); // the connections, and the warming up
  const done = await load.run();
  const records = server.trace?.take() ?? [];
  return { subject: subject.name, kind, ...counted(records, done.messages), dropped: server.trace?.dropped ?? 0 };
}

const READS: readonly string[] = ['recv', 'recvfrom', 'recvmsg', 'WSARecv'];
const WRITES: readonly string[] = ['send', 'sendto', 'sendmsg', 'WSASend'];
/** They fail with WSA_IO_PENDING, or are done at once. */
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

// ------------------------------------------------------------------------------------------------------ what the figures say

/**
 * Messages of one connection come one after the other, each when the last one is answered: who makes the reads makes one a message. A tenth
 * either way is for what is under way when the counting begins and ends.
 *
 * Writes do not decide: there is nearly always room, and Windows then sends within WSASend what it was only to start.
 */
const ALL = 0.9;
const NONE = 0.1;
const FEWEST_MESSAGES = 100;

const readsItself = ({ reads }: WhoCopiesRow): boolean => reads >= ALL;
const leavesIt = ({ reads }: WhoCopiesRow): boolean => reads <= NONE;

function verdict({ rows }: WhoCopiesFigures): Verdict {
  const kinds: readonly Kind[] = ['reactor', 'true proactor', 'emulated proactor'];
  const missing = kinds.find((kind) => rows.every((row) => row.kind !== kind));
  if (missing !== undefined) return { outcome: 'undecided', because: `there are no figures of a ${missing}` };
  const poor = rows.find(({ messages, dropped }) => messages < FEWEST_MESSAGES || dropped > 0);
  if (poor !== undefined) {
    const why = poor.dropped > 0 ? `${poor.dropped} calls were not recorded` : `${poor.messages} messages are too few`;
    return { outcome: 'undecided', because: `${poor.subject}: ${why}` };
  }
  const made = rows.map(({ subject, reads }) => `${subject} made ${threeDigits(reads)}`).join(', ');
  const because = `of the reads of a message, the process of ${made}`;
  const isTrue = (row: WhoCopiesRow): boolean => row.kind === 'true proactor';
  if (rows.every((row) => (isTrue(row) ? leavesIt(row) : readsItself(row)))) return { outcome: 'holds', because };
  if (rows.some((row) => (isTrue(row) ? readsItself(row) : leavesIt(row))))
    return { outcome: 'does not hold here', because };
  return { outcome: 'undecided', because: `${because}: neither all nor none` };
}

function tables({ rows }: WhoCopiesFigures): ReportTable[] {
  return [
    {
      title: 'Who receives and sends: calls of the server’s process, a message',
      columns: ['server', 'kind', 'reads made', 'writes made', 'only started', 'all calls'],
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
      title: 'System calls a message, by name',
      columns: ['server', 'system call', 'a message'],
      rows: rows.flatMap(({ subject, calls }) => calls.map(({ name, perMessage }) => [subject, name, perMessage])),
    },
  ];
}

function charts({ rows }: WhoCopiesFigures): ReportChart[] {
  const names = [...new Set(rows.flatMap(({ calls }) => calls.map(({ name }) => name)))];
  return [
    {
      kind: 'bar',
      title: 'System calls a message',
      value: { label: 'calls of the server’s process' },
      categories: rows.map(({ subject }) => subject),
      series: names.map((name) => ({
        name,
        values: rows.map(({ calls }) => calls.find((one) => one.name === name)?.perMessage ?? 0),
      })),
      isStacked: true,
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
    'In a reactor the program itself reads and writes. In a proactor the operating system does, and reports that it has. A proactor in the ' +
    'style of asyncio on Unix is a reactor underneath.',
  source: 'post 002, claims (d) and (e); the post knew one true proactor, IOCP, and io_uring is another',
  setUp:
    `The same echo server as a reactor, as a proactor over what the kernel has of that kind, and as one emulated over readiness. ${CONNECTIONS} ` +
    `clients send ${SIZE} bytes each, and again when they are back. The system calls that the server’s process makes are recorded.`,
  isAvailable: trueProactors.some(({ available }) => available),
  why: trueProactors.map(({ mechanism, why }) => `${mechanism}: ${why}`).join('; '),
  measure,
  tables,
  charts,
  verdict,
};
