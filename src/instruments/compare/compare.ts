/**
 * Runs the same work on each subject. Server and clients are separate processes. The time is measured in several rounds, in each of which
 * every subject runs once; then each runs once more to count its system calls, which slows it down.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Load, type LoadResult } from '../measuring/load.js';
import { MeasuredServer, type MeasuredServerOptions } from '../measuring/measured-server.js';
import { type Spread, spreadOf } from '../measuring/spread.js';
import type { Subject } from '../measuring/subjects.js';
import { models } from '../../servers/models/index.js';
import type { ServerModelName } from '../../servers.js';
import type { ProcessesTrace } from '../../trace/processes-trace.js';
import { messageOf } from '../../validate.js';
import { CallCounter, type Counted, notCounted, perMessage } from './calls.js';
import { type Comparison, parseComparison } from './options.js';
import type { ComparisonOptions, ComparisonRow } from './row.js';
import { StraceLog, whyNoStrace } from './strace.js';

/** Messages of a counted run: calls per message are a ratio, and counting takes time. */
const MAX_COUNTED_MESSAGES = 10_000;
/** Milliseconds until the last call is recorded: it is recorded when it returns, which is after the client has its reply. */
const LAST_RECORD_DELAY = 50;
/** The largest maxConnections that a server accepts. */
const MAX_CONNECTIONS = 100_000;
/** Share of the messages for models that would take hours otherwise. They warm up with one message per connection. */
const SHARE: Partial<Record<ServerModelName, number>> = {
  'reactor-thread-per-task': 1 / 1000, // starts a thread per message
};

/**
 * Compares server models: throughput, latency, CPU time and system calls of the same echo work. Takes about two minutes by default.
 *
 * `http:reactor`, `http:proactor` and `http:node` exchange GETs instead of echoes: a minimal HTTP server on this package's loops, inside Node's,
 * beside Node's `http`. It shows what a loop leaves to a protocol.
 *
 * System calls: those of this package's servers are counted by the package's own trace, without the calls that Node makes to manage its
 * threads. Those of `node:net`, of the HTTP servers and of the textbook servers are the calls on descriptors that strace(1) counts: NaN if it is not installed, and
 * on systems other than Linux. The counted run is slower than the timed one, so its waits return more events at once.
 *
 * CPU time is that of the server's process with its threads (getrusage(2)) and its child processes (proc(5), in steps of 10 ms each; NaN on
 * systems other than Linux).
 *
 * @returns one row per subject, in the order of `subjects`
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE (also if a subject cannot serve that many connections at a time), ERR_OUT_OF_RANGE,
 *   ERR_UNAVAILABLE, all before anything is started; the signal's reason; an Error 'SUBJECT: reason' if a run fails. All processes have
 *   exited by then.
 */
export async function compare(options: ComparisonOptions = {}): Promise<readonly ComparisonRow[]> {
  const comparison = parseComparison(options);
  const { subjects, rounds, onProgress, signal } = comparison;
  signal?.throwIfAborted();
  const all = subjects.map((subject) => ({
    name: subject.name,
    runs: new SubjectRuns(subject, comparison),
    timed: [] as Timed[],
  }));
  const total = (rounds + 1) * subjects.length;
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const { name, runs, timed } of all) {
      onProgress(done++, total, name);
      timed.push(await nameFailure(name, signal, runs.timed()));
    }
  }
  const rows: ComparisonRow[] = [];
  for (const { name, runs, timed } of all) {
    onProgress(done++, total, name);
    rows.push({ subject: name, ...ofRounds(timed), ...(await nameFailure(name, signal, runs.counted())) });
  }
  onProgress(total, total, subjects.at(-1)?.name ?? '');
  return rows;
}

/** Puts the subject's name in front of the error's message. @throws the signal's reason if it is aborted */
async function nameFailure<T>(subject: string, signal: AbortSignal | undefined, run: Promise<T>): Promise<T> {
  try {
    return await run;
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${subject}: ${messageOf(error)}`, { cause: error });
  }
}

/** A timed run. */
type Timed = Pick<ComparisonRow, 'messagesPerSecond' | 'cpuMicrosecondsPerMessage' | 'latency' | 'messages'>;

/** The medians and quartiles of the rounds. */
function ofRounds(rounds: readonly Timed[]): Omit<ComparisonRow, 'subject' | keyof Counted> {
  const spread = (of: (run: Timed) => number): Spread => spreadOf(rounds.map(of));
  const [throughput, cpu] = [
    spread(({ messagesPerSecond }) => messagesPerSecond),
    spread(({ cpuMicrosecondsPerMessage }) => cpuMicrosecondsPerMessage),
  ];
  return {
    messagesPerSecond: throughput.median,
    cpuMicrosecondsPerMessage: cpu.median,
    latency: {
      p50: spread(({ latency }) => latency.p50).median,
      p99: spread(({ latency }) => latency.p99).median,
      max: Math.max(...rounds.map(({ latency }) => latency.max)),
    },
    messages: rounds.reduce((sum, { messages }) => sum + messages, 0),
    rounds: rounds.length,
    quartiles: {
      messagesPerSecond: [throughput.low, throughput.high],
      cpuMicrosecondsPerMessage: [cpu.low, cpu.high],
    },
  };
}

/** The runs of a subject. Each ends all its processes. */
class SubjectRuns {
  readonly #subject: Subject;
  readonly #comparison: Comparison;
  readonly #share: number;
  readonly #countedMessages: number;
  /** Per round. */
  readonly #messages: number;

  constructor(subject: Subject, comparison: Comparison) {
    this.#subject = subject;
    this.#comparison = comparison;
    this.#share = (subject.model === null ? undefined : SHARE[subject.model]) ?? 1;
    const messages = comparison.work.messages * this.#share;
    this.#messages = Math.ceil(messages / comparison.rounds);
    this.#countedMessages = Math.min(Math.ceil(messages), MAX_COUNTED_MESSAGES);
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
    if (this.#subject.model !== null) return this.#countedByTrace();
    const why = await whyNoStrace(this.#comparison.signal);
    return why === null ? this.#countedByStrace() : notCounted(why);
  }

  async #countedByTrace(): Promise<Counted> {
    await using server = await this.#server({ isTraced: true });
    const trace = server.trace as ProcessesTrace;
    using counter = new CallCounter(trace);
    await using load = await this.#load(server, this.#countedMessages);
    const droppedBefore = trace.dropped; // busy-wait fills the trace before the first message
    const result = await load.run();
    await sleep(LAST_RECORD_DELAY);
    return perMessage(
      counter.between(result.begun, result.ended),
      result,
      "by this package's trace",
      trace.dropped - droppedBefore,
    );
  }

  async #countedByStrace(): Promise<Counted> {
    using log = new StraceLog();
    let result: LoadResult;
    {
      await using server = await this.#server({ wrapper: log.wrapper });
      await using load = await this.#load(server, this.#countedMessages);
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
      maxConnections: startsPerConnection ? work.connections + 1 : MAX_CONNECTIONS,
      signal,
    });
  }

  #load({ port }: MeasuredServer, messages: number): Promise<Load> {
    const { work, signal } = this.#comparison;
    const isHttp = this.#subject.http !== undefined;
    return Load.ready({ ...work, port, messages, isHttp, ...(this.#share < 1 ? { warmUp: 1 } : {}) }, signal);
  }
}
