/**
 * What the threads of a server say to one another. The caller, the supervisor, and the programs: each talks to its neighbour alone.
 *
 *   caller --Asked--> supervisor --Answer, Notice--> program
 *   caller <--Said--- supervisor <--StartRequest, ReleaseRequest, Listening, Answered--- program
 */
import type { MessagePort } from 'node:worker_threads';
import type { SocketAddress } from '../../index.js';
import type { Totals } from './scoreboard.js';

// ------------------------------------------------------------------------------------------------ programs and supervisor

/** main: the server's own program. work: serves connections. task: does the work of requests. */
export type Role = 'main' | 'work' | 'task';

/** The way to a thread of a pool, as the one has it who works there. */
export interface TaskPort {
  readonly port: MessagePort;
  /** Another number after each task that is put into the port: what the thread sleeps on. */
  readonly news: Int32Array;
  /** What wakes the loop that waits for the answer. */
  readonly wakeupHandle: number;
}

/** What the supervisor is asked for. */
export interface StartRequest {
  readonly type: 'start';
  readonly kind: 'thread' | 'process';
  readonly role: Role;
  /** What it inherits. A thread takes them over; a process has descriptors of its own for them. */
  readonly fds: readonly number[];
  /** Is another one started when it dies? */
  readonly replace: boolean;
  readonly queue?: SharedArrayBuffer;
  /** For a thread of a pool. */
  readonly taskPort?: TaskPort;
  /** For a thread that does one task. */
  readonly task?: Uint8Array;
  /** Who asks wants to be told of its end, by this number. */
  readonly token?: number;
  /** How many connections it is handed with that. */
  readonly handed: number;
  /** Who asks writes to its row, and says when it will not any more. */
  readonly keepsRow?: boolean;
  /** Who asks sleeps on this until there is an answer. */
  readonly answered?: Int32Array;
}

export interface Answer {
  readonly type: 'started';
  /** -1: nothing was started. */
  readonly row: number;
  readonly pid: number;
}
/** What it tells without being asked, of a thread that was started with a token: its answer; that it has ended, or was not started. */
export type Notice =
  | { readonly type: 'answered'; readonly token: number; readonly reply: Uint8Array }
  | { readonly type: 'ended'; readonly token: number };

/** What a thread that does one task says. */
export interface Answered {
  readonly type: 'answered';
  readonly reply: Uint8Array;
}

export interface ReleaseRequest {
  readonly type: 'release';
  readonly row: number;
}

/** What the first program tells of the server's address. */
export interface Listening {
  readonly type: 'listening';
  readonly address: SocketAddress;
}

// -------------------------------------------------------------------------------------------------- supervisor and caller

/** An error, as it crosses from thread to thread. */
export interface PlainError {
  readonly message: string;
  readonly code?: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
}

export interface WorkerInfo {
  /** A process's number, or a thread's. */
  readonly id: number;
  readonly kind: 'thread' | 'process';
  readonly role: Role;
}

/** What one thread or process has done, and has. */
export interface WorkerStats extends WorkerInfo {
  /** Connections that it has accepted itself. */
  readonly accepted: number;
  /** Connections that it serves now. */
  readonly open: number;
  readonly wakeups: number;
  readonly emptyWakeups: number;
}

export interface WorkerExit extends WorkerInfo {
  /** 'SIGKILL', 'exit code 1', or what it threw. */
  readonly why: string;
  /** How many connections it had. */
  readonly lost: number;
  /** Does another take its place? */
  readonly isReplaced: boolean;
}

/** What the supervisor says. */
export type Said =
  | { readonly type: 'listening'; readonly address: SocketAddress }
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'exit'; readonly exit: WorkerExit }
  | { readonly type: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly type: 'closed'; readonly totals: Totals };

/** What it is asked. */
export type Asked =
  | { readonly type: 'totals'; readonly id: number }
  | { readonly type: 'workers'; readonly id: number }
  | { readonly type: 'kill'; readonly id: number; readonly worker: number }
  | { readonly type: 'close' };

/** 'process 4711 has ended: SIGKILL; 3 connections are lost, another takes its place' */
export function describeExit({ kind, id, role, why, lost, isReplaced }: WorkerExit): string {
  const who = id < 0 ? `a ${kind}` : `${kind} ${id}`;
  const what = role === 'main' ? ', the server itself,' : '';
  const connections = lost === 1 ? '1 connection is lost' : `${lost} connections are lost`;
  return `${who}${what} has ended: ${why}; ${connections}${isReplaced ? ', another takes its place' : ''}`;
}

export function plainError(error: Error): PlainError {
  const { message, code, errno, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  return JSON.parse(JSON.stringify({ message, code, errno, syscall, address, port })) as PlainError;
}

/** The same again. */
export function errorOf({ message, ...fields }: PlainError): Error {
  return Object.assign(new Error(message), fields);
}
