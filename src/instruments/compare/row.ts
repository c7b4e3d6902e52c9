/** The options and the result of compare(). */
import type { Latency } from '../measuring/load.js';

/** Options of compare(). */
export interface ComparisonOptions {
  /**
   * Server models, each with its mechanism or accept strategy after a colon, or else with the best one of this system: ['reactor:select',
   * 'reactor:epoll', 'proactor:io_uring', 'thread-pool', 'prefork:lock', 'textbook:thread-pool', 'node:net']. `textbook:` is a server in C
   * (native/textbook/), `http:` an HTTP server of GET ('http:reactor:epoll', 'http:node'). Default: those of DEFAULT_SUBJECTS
   * (src/instruments/compare/options.ts) that this system has.
   */
  readonly subjects?: readonly string[];
  /** Concurrent clients, each of which sends its next message when the last one has come back: 1 to 10,000. Default: 50. */
  readonly connections?: number;
  /** Messages per subject over all rounds; in each round rounded up to a multiple of `connections`: 1 to 10,000,000. Default: 100,000. */
  readonly messages?: number;
  /** Timed runs of each subject, one of each subject in turn, so that a slow moment of the machine affects all: 1 to 100. Default: 5. */
  readonly rounds?: number;
  /** Size of a message, in bytes: 1 to 1,048,576. Default: 64. */
  readonly size?: number;
  /**
   * Threads or processes of the models that have a fixed number of them: 1 to 1024. Default: availableParallelism(). Default for the pools
   * whose workers serve one connection each until it ends (`thread-pool`, `process-pool`, `prefork`): `connections`, because with fewer the
   * other clients would wait forever.
   */
  readonly workers?: number;
  /** Called before each run and at the end with the number of finished runs, the number of all runs, and the current subject. */
  readonly onProgress?: (done: number, total: number, subject: string) => void;
  /** Aborted: ends all started processes, then compare() rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The result of one subject. NaN: this system does not report it. */
export interface ComparisonRow {
  /** Name of the subject: 'reactor:epoll'. */
  readonly subject: string;
  /** Throughput: messages echoed per second, the median of the rounds. */
  readonly messagesPerSecond: number;
  /** System calls of the server per message. */
  readonly syscallsPerMessage: number;
  /** The same by name of the call, the most frequent first. Empty if they cannot be counted here. */
  readonly syscalls: readonly {
    /** The system's name of the call: 'epoll_wait'. */
    readonly name: string;
    /** Calls per message. */
    readonly perMessage: number;
  }[];
  /** CPU time of the server's processes, user and system, in microseconds per message: the median of the rounds. */
  readonly cpuMicrosecondsPerMessage: number;
  /** Round-trip times as the clients measured them, in microseconds: medians of the rounds, and the maximum of all. */
  readonly latency: Latency;
  /** Messages of the timed runs. */
  readonly messages: number;
  /** Timed runs. */
  readonly rounds: number;
  /** First and third quartile of the rounds. NaN as the medians. */
  readonly quartiles: Readonly<
    Record<'messagesPerSecond' | 'cpuMicrosecondsPerMessage', readonly [low: number, high: number]>
  >;
  /** How the system calls were counted and over how many messages; or why they were not. */
  readonly counted: string;
}

/** The work that each subject does: as in ComparisonOptions. */
export interface Work {
  readonly connections: number;
  readonly messages: number;
  readonly size: number;
}
