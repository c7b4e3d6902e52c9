/** Validates the options of compare() before anything is started. */
import { invalidType, invalidValue } from '../../errors.js';
import { type Subject, allSubjects, subjectNamed } from '../measuring/subjects.js';
import { TEXTBOOK_POOLS } from '../measuring/textbook.js';
import type { ServerModelName } from '../../servers.js';
import { FD_SETSIZE } from '../../syscalls.js';
import { abortSignal, fieldsOf, listOf, wholeNumber } from '../../validate.js';
import type { ComparisonOptions, Work } from './row.js';

const MAX_CONNECTIONS = 10_000;
const MAX_MESSAGES = 10_000_000;
const MAX_MESSAGE_SIZE = 2 ** 20;
const MAX_WORKERS = 1024;
const MAX_ROUNDS = 100;

/** The work of compare() and of the command line by default. */
export const DEFAULT_WORK: Work = { connections: 50, messages: 100_000, size: 64 };
/** Timed runs of each subject by default. */
export const DEFAULT_ROUNDS = 5;

/**
 * The order in which a course presents them: readiness calls from the oldest to the newest, completion, its emulation; then threads, several
 * loops in threads and in processes; last the reference.
 */
const DEFAULT_SUBJECTS: readonly string[] = [
  'reactor:select',
  'reactor:poll',
  'reactor:epoll',
  'reactor:kqueue',
  'reactor:afd',
  'reactor:devpoll',
  'proactor:io_uring',
  'proactor:iocp',
  'proactor:emulated:epoll',
  'proactor:emulated:kqueue',
  'proactor:emulated:afd',
  'proactor:emulated:devpoll',
  'thread-pool',
  'multi-reactor',
  'multi-process-reactor',
  'node:net',
];

/** The default subjects that this system has. */
export function defaultSubjects(): readonly string[] {
  const here = allSubjects().filter(({ isAvailable }) => isAvailable);
  return DEFAULT_SUBJECTS.filter((name) => here.some((row) => row.name === name || row.model === name));
}

/** Models whose workers serve one connection each until it ends. */
const ONE_CONNECTION_PER_WORKER: readonly (ServerModelName | null)[] = ['thread-pool', 'process-pool', 'prefork'];

/** Whether each of its workers serves one connection until it ends. */
const isPool = ({ model, textbook }: Subject): boolean =>
  textbook === undefined ? ONE_CONNECTION_PER_WORKER.includes(model) : TEXTBOOK_POOLS.includes(textbook.model);

/** Descriptors that are reserved for the rest of the server's process: Node opens some thirty. */
const RESERVED_DESCRIPTORS = 64;

/** Valid options. */
export interface Comparison {
  readonly subjects: readonly Subject[];
  readonly work: Work;
  readonly rounds: number;
  /** Number of workers for a subject. undefined: it has no fixed number, or its own default is right. */
  readonly workersOf: (subject: Subject) => number | undefined;
  readonly onProgress: (done: number, total: number, subject: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_UNAVAILABLE for a subject that this system lacks */
export function parseComparison(options: ComparisonOptions): Comparison {
  const fields = fieldsOf('options', options, [
    ...(['subjects', 'connections', 'messages', 'size', 'rounds', 'workers', 'onProgress', 'signal'] as const),
  ]);
  const {
    subjects = defaultSubjects(),
    connections = DEFAULT_WORK.connections,
    messages = DEFAULT_WORK.messages,
    size = DEFAULT_WORK.size,
    rounds = DEFAULT_ROUNDS,
    workers,
    onProgress = () => undefined,
    signal,
  } = fields;
  if (typeof onProgress !== 'function') throw invalidType('onProgress', 'a function', onProgress);
  const work: Work = {
    connections: wholeNumber('connections', connections, 1, MAX_CONNECTIONS),
    messages: wholeNumber('messages', messages, 1, MAX_MESSAGES),
    size: wholeNumber('size', size, 1, MAX_MESSAGE_SIZE),
  };
  const givenWorkers = workers === undefined ? undefined : wholeNumber('workers', workers, 1, MAX_WORKERS);
  const chosenSubjects = listOf('subjects', subjects).map(subjectNamed);
  if (chosenSubjects.length === 0) throw invalidValue('subjects must name at least one subject');
  for (const subject of chosenSubjects) checkServesAll(subject, work, givenWorkers);
  return {
    subjects: chosenSubjects,
    work,
    rounds: wholeNumber('rounds', rounds, 1, MAX_ROUNDS),
    workersOf: (subject) => (isPool(subject) ? (givenWorkers ?? work.connections) : givenWorkers),
    onProgress: onProgress as Comparison['onProgress'],
    signal: signal === undefined ? undefined : abortSignal('signal', signal),
  };
}

/** Clients keep their connections open: one that no worker serves would wait forever. */
function checkServesAll(subject: Subject, { connections }: Work, workers?: number): void {
  const { name, mechanism, textbook } = subject;
  const { model, accept } = textbook ?? subject;
  const tooMany = (why: string): Error =>
    invalidValue(`${name} cannot serve ${connections} connections at a time: ${why}`);
  if (model === 'iterative' && connections > 1) throw tooMany('it serves one client at a time');
  if (accept === 'reuseport' && connections > 1)
    throw tooMany('the kernel distributes them by hash, also to a process that already has one');
  if (isPool(subject) && (workers ?? connections) < connections)
    throw tooMany(`each of its ${workers} workers serves one until it ends`);
  if (isPool(subject) && connections > MAX_WORKERS)
    throw tooMany(`it needs a worker for each, and may have at most ${MAX_WORKERS}`);
  if (mechanism?.endsWith('select') && connections > FD_SETSIZE - RESERVED_DESCRIPTORS)
    throw tooMany(`an fd_set holds ${FD_SETSIZE} descriptors, and Node needs some of them`);
}
