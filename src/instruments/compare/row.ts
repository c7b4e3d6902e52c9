/** What a comparison is asked for, and what it answers. */
import type { Latency } from '../measuring/load.js';

export interface ComparisonOptions {
  /**
   * Server models, each over the mechanism that is named behind a colon, or over its best: ['reactor:select', 'reactor:epoll',
   * 'proactor:io_uring', 'thread-pool', 'prefork:lock', 'node:net']. Where nothing is said: those of DEFAULT_SUBJECTS.
   */
  readonly subjects?: readonly string[];
  /** So many clients ask at the same time, each for the next message when the last one has come back: 1 to 10,000. Default: 50. */
  readonly connections?: number;
  /** Of each subject, rounded up to a multiple of the connections: 1 to 10,000,000. Default: 100,000. */
  readonly messages?: number;
  /** Of a message, in bytes: 1 to 1,048,576. Default: 64. */
  readonly size?: number;
  /**
   * Threads or processes of those models that have a fixed number of them: 1 to 1024. Where nothing is said, availableParallelism(); but as
   * many as there are connections for the pools whose workers serve one connection each until it ends (`thread-pool`, `process-pool`,
   * `prefork`), for with fewer the other clients would wait for ever.
   */
  readonly workers?: number;
  /** Told before each run, and at the end: how many of how many are done, and whose turn it is. */
  readonly onProgress?: (done: number, total: number, subject: string) => void;
  /** Aborted: what was started is ended, and then compare() rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One subject. What this system does not tell is NaN. */
export interface ComparisonRow {
  readonly subject: string;
  readonly messagesPerSecond: number;
  /** All of them. */
  readonly syscallsPerMessage: number;
  /** Calls by name, per message, the most frequent first. Empty where nobody can count them. */
  readonly syscalls: readonly { readonly name: string; readonly perMessage: number }[];
  /** CPU time of the server's processes, user and system, in microseconds. */
  readonly cpuMicrosecondsPerMessage: number;
  /** Of round trips, in microseconds. */
  readonly latency: Latency;
  /** How many messages went to and fro while the time was taken. */
  readonly messages: number;
  /** How the system calls were counted, and over how many messages; or why they were not. */
  readonly counted: string;
}

/** The work that each subject does. */
export interface Work {
  readonly connections: number;
  readonly messages: number;
  readonly size: number;
}
