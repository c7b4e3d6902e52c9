/**
 * The same work over each subject in turn. Server and clients are processes of their own, and each subject runs twice: once undisturbed, for
 * the time, and once while its system calls are counted, which takes time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Load, type LoadResult } from '../measuring/load.js';
import { MeasuredServer, type MeasuredServerOptions } from '../measuring/measured-server.js';
import type { Subject } from '../measuring/subjects.js';
import { models } from '../../servers/models/index.js';
import type { ServerModelName } from '../../servers.js';
import type { ProcessesTrace } from '../../trace/processes-trace.js';
import { messageOf } from '../../validate.js';
import { CallCounter, type Counted, notCounted, perMessage } from './calls.js';
import { type Comparison, parseComparison } from './options.js';
import type { ComparisonOptions, ComparisonRow } from './row.js';
import { StraceLog, whyNoStrace } from './strace.js';

/** System calls are counted over so many messages at the most: they are a ratio, and to count them takes time. */
const MOST_COUNTED = 10_000;
/** The last call is recorded when it has returned, and the client has its answer before: milliseconds. */
const LAST_RECORD = 50;
/** Of each subject. */
const RUNS = 2;
/** The most that a server may be told. */
const NO_LIMIT = 100_000;
/** These get this part of the messages, or they would take hours; and one message a connection to warm up. */
const SHARE: Partial<Record<ServerModelName, number>> = {
  'reactor-thread-per-task': 1 / 1000, // a thread for each message
};

/**
 * Compares server models with one another. Takes about a minute where nothing is said.
 *
 * What is counted as a system call: of this package's servers, each call of the package, by its own trace (what Node calls besides, to
 * keep its threads, is not among them); of `node:net`, what it asks of descriptors, by strace(1): NaN where that is not installed, and on
 * other systems than Linux. A counted run is slower than the other, and so its waits find more to do at once.
 *
 * CPU time is that of the server's process with its threads (getrusage(2)) and its child processes (proc(5), in steps of 10 ms each; NaN on
 * other systems than Linux).
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE (also where a subject cannot serve so many connections at a time), ERR_OUT_OF_RANGE,
 *   ERR_UNAVAILABLE, before anything is started; the signal's reason; or what went wrong with a subject. By then nothing of it is left.
 */
export async function compare(options: ComparisonOptions = {}): Promise<readonly ComparisonRow[]> {
  const comparison = parseComparison(options);
  const { subjects, onProgress, signal } = comparison;
  signal?.throwIfAborted();
  const rows: ComparisonRow[] = [];
  const total = RUNS * subjects.length;
  for (const subject of subjects) {
    const { name } = subject;
    const runs = new SubjectRuns(subject, comparison);
    onProgress(RUNS * rows.length, total, name);
    const timed = await named(name, signal, runs.timed());
    onProgress(RUNS * rows.length + 1, total, name);
    const counted = await named(name, signal, runs.counted());
    rows.push({ subject: name, ...timed, ...counted });
  }
  onProgress(total, total, subjects.at(-1)?.name ?? '');
  return rows;
}

/** What went wrong, and with whom; or why it was aborted. */
async function named<T>(subject: string, signal: AbortSignal | undefined, run: Promise<T>): Promise<T> {
  try {
    return await run;
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${subject}: ${messageOf(error)}`, { cause: error });
  }
}

type Timed = Omit<ComparisonRow, 'subject' | keyof Counted>;

/** The two runs of a subject. Each leaves nothing behind. */
class SubjectRuns {
  readonly #subject: Subject;
  readonly #comparison: Comparison;
  readonly #share: number;
  readonly #messages: number;

  constructor(subject: Subject, comparison: Comparison) {
    this.#subject = subject;
    this.#comparison = comparison;
    this.#share = (subject.model === null ? undefined : SHARE[subject.model]) ?? 1;
    this.#messages = Math.ceil(comparison.work.messages * this.#share);
  }

  async timed(): Promise<Timed> {
    await using server = await this.#server();
    await using load = await this.#load(server, this.#messages);
    const before = await server.cpu();
    const { messages, messagesPerSecond, latency } = await load.run();
    const cpu = (await server.cpu()) - before;
    return { messagesPerSecond, cpuMicrosecondsPerMessage: cpu / messages, latency, messages };
  }

  async counted(): Promise<Counted> {
    if (this.#subject.model !== null) return this.#traced();
    const why = await whyNoStrace(this.#comparison.signal);
    return why === null ? this.#straced() : notCounted(why);
  }

  async #traced(): Promise<Counted> {
    await using server = await this.#server({ isTraced: true });
    const trace = server.trace as ProcessesTrace;
    using counter = new CallCounter(trace);
    await using load = await this.#load(server, Math.min(this.#messages, MOST_COUNTED));
    const lostBefore = trace.dropped; // while nothing was asked: busy-wait
    const result = await load.run();
    await sleep(LAST_RECORD);
    return perMessage(
      counter.between(result.begun, result.ended),
      result,
      "by this package's trace",
      trace.dropped - lostBefore,
    );
  }

  async #straced(): Promise<Counted> {
    using log = new StraceLog();
    let result: LoadResult;
    {
      await using server = await this.#server({ wrapper: log.wrapper });
      await using load = await this.#load(server, Math.min(this.#messages, MOST_COUNTED));
      result = await load.run();
    }
    return perMessage(log.during(result), result, 'by strace');
  }

  #server(options: MeasuredServerOptions = {}): Promise<MeasuredServer> {
    const { work, workersOf, signal } = this.#comparison;
    const workers = workersOf(this.#subject);
    const { model } = this.#subject;
    const startsPerConnection = model !== null && models[model].startsPerConnection;
    return MeasuredServer.start(this.#subject, {
      ...options,
      ...(workers === undefined ? {} : { workers }),
      maxConnections: startsPerConnection ? work.connections + 1 : NO_LIMIT,
      signal,
    });
  }

  #load({ port }: MeasuredServer, messages: number): Promise<Load> {
    const { work, signal } = this.#comparison;
    return Load.ready({ ...work, port, messages, ...(this.#share < 1 ? { warmUp: 1 } : {}) }, signal);
  }
}
