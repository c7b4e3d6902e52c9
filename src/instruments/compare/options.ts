/** What a comparison may be asked for: looked at before anything is started. */
import { invalidType, invalidValue } from '../../errors.js';
import { type Subject, allSubjects, subjectNamed } from '../measuring/subjects.js';
import type { ServerModelName } from '../../servers.js';
import { FD_SETSIZE } from '../../syscalls.js';
import { abortSignal, fieldsOf, listOf, wholeNumber } from '../../validate.js';
import type { ComparisonOptions, Work } from './row.js';

const MOST_CONNECTIONS = 10_000;
const MOST_MESSAGES = 10_000_000;
const LARGEST_MESSAGE = 2 ** 20;
const MOST_WORKERS = 1024;

export const DEFAULT_WORK: Work = { connections: 50, messages: 100_000, size: 64 };

/**
 * From the oldest call that waits for many to the newest, what imitates the newest over the older; then threads, several loops in threads
 * and in processes; and the yardstick.
 */
const TEACHING: readonly string[] = [
  'reactor:select',
  'reactor:poll',
  'reactor:epoll',
  'reactor:kqueue',
  'proactor:io_uring',
  'proactor:iocp',
  'proactor:emulated:epoll',
  'proactor:emulated:kqueue',
  'thread-pool',
  'multi-reactor',
  'multi-process-reactor',
  'node:net',
];

/** Those of them that this system has. */
export function defaultSubjects(): readonly string[] {
  const here = allSubjects().filter(({ isAvailable }) => isAvailable);
  return TEACHING.filter((name) => here.some((row) => row.name === name || row.model === name));
}

/** Their workers serve one connection each until it ends. */
const ONE_EACH: readonly (ServerModelName | null)[] = ['thread-pool', 'process-pool', 'prefork'];
/** Descriptors of the server's process besides its connections: Node has some thirty. */
const OTHER_DESCRIPTORS = 64;

export interface Comparison {
  readonly subjects: readonly Subject[];
  readonly work: Work;
  /** Of this subject. undefined: it has no fixed number, or its own default is right. */
  readonly workersOf: (subject: Subject) => number | undefined;
  readonly onProgress: (done: number, total: number, subject: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE; ERR_UNAVAILABLE for a subject that this system does not have */
export function parseComparison(options: ComparisonOptions): Comparison {
  const fields = fieldsOf('options', options, [
    ...(['subjects', 'connections', 'messages', 'size', 'workers', 'onProgress', 'signal'] as const),
  ]);
  const {
    subjects = defaultSubjects(),
    connections = DEFAULT_WORK.connections,
    messages = DEFAULT_WORK.messages,
    size = DEFAULT_WORK.size,
    workers,
    onProgress = () => undefined,
    signal,
  } = fields;
  if (typeof onProgress !== 'function') throw invalidType('onProgress', 'a function', onProgress);
  const work: Work = {
    connections: wholeNumber('connections', connections, 1, MOST_CONNECTIONS),
    messages: wholeNumber('messages', messages, 1, MOST_MESSAGES),
    size: wholeNumber('size', size, 1, LARGEST_MESSAGE),
  };
  const asked = workers === undefined ? undefined : wholeNumber('workers', workers, 1, MOST_WORKERS);
  const chosen = listOf('subjects', subjects).map(subjectNamed);
  if (chosen.length === 0) throw invalidValue('subjects must name at least one');
  for (const subject of chosen) checkServesAll(subject, work, asked);
  return {
    subjects: chosen,
    work,
    workersOf: ({ model }) => (ONE_EACH.includes(model) ? (asked ?? work.connections) : asked),
    onProgress: onProgress as Comparison['onProgress'],
    signal: signal === undefined ? undefined : abortSignal('signal', signal),
  };
}

/** Clients keep their connections. One that is not served would wait for ever. */
function checkServesAll({ name, model, mechanism, accept }: Subject, { connections }: Work, workers?: number): void {
  const refuse = (why: string): Error =>
    invalidValue(`${name} cannot serve ${connections} connections at a time: ${why}`);
  if (model === 'iterative' && connections > 1) throw refuse('it serves one client after the other');
  if (accept === 'reuseport' && connections > 1)
    throw refuse('the kernel deals them out by their hash, also to a process that has one already');
  if (ONE_EACH.includes(model) && (workers ?? connections) < connections)
    throw refuse(`each of its ${workers} workers serves one until it ends`);
  if (ONE_EACH.includes(model) && connections > MOST_WORKERS)
    throw refuse(`it has a worker for each, and ${MOST_WORKERS} at the most`);
  if (mechanism?.endsWith('select') && connections > FD_SETSIZE - OTHER_DESCRIPTORS)
    throw refuse(`an fd_set holds ${FD_SETSIZE} descriptors, and Node has some of its own`);
}
