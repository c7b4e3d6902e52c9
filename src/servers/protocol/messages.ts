/**
 * The messages between the threads of a server: its owner, the supervisor, and the programs of the models. Each talks to its neighbour only.
 *
 *   owner --SupervisorRequest--> supervisor --StartReply, WorkerNotice--> program
 *   owner <--SupervisorEvent---- supervisor <--StartRequest, ReleaseRequest, Listening, TaskReply--- program
 */
import type { MessagePort } from 'node:worker_threads';
import type { SocketAddress } from '../../index.js';
import type { Totals } from './scoreboard.js';

// ------------------------------------------------------------------------------------------------ programs and supervisor

/** main: the server's first thread. work: serves connections. task: works on requests for a reactor. */
export type Role = 'main' | 'work' | 'task';

/** What a thread of a task pool has of the channel to its reactor. */
export interface TaskPort {
  readonly port: MessagePort;
  /** One cell, incremented after each task that is posted to the port; the thread sleeps on it. */
  readonly taskCount: Int32Array;
  /** Wakes the reactor that waits for the reply (see wakeup()). */
  readonly wakeupHandle: number;
}

/** Asks the supervisor to start a thread or a process. */
export interface StartRequest {
  readonly type: 'start';
  readonly kind: 'thread' | 'process';
  readonly role: Role;
  /** Inherited sockets: moved to a thread, duplicated into a process. */
  readonly fds: readonly number[];
  /** Another is started in its place when it exits. */
  readonly replace: boolean;
  /** The connections that a thread serves. */
  readonly queue?: SharedArrayBuffer;
  /** For a thread of a task pool. */
  readonly taskPort?: TaskPort;
  /** For a thread that works on one task: its request. */
  readonly task?: Uint8Array;
  /** The requester's number for it, which the notices about it carry. Without a token there are none. */
  readonly token?: number;
  /** How many of `fds` are connections: they are lost if it exits. */
  readonly connections: number;
  /** The requester writes to its row too, and sends a ReleaseRequest after its exit. Default: the row is free when it exits. */
  readonly requesterReleasesRow?: boolean;
  /** One cell, incremented after the StartReply is posted; the requester sleeps on it. Without it there is no StartReply. */
  readonly replyCount?: Int32Array;
}

export interface StartReply {
  readonly type: 'started';
  /** Its row of the scoreboard; -1: nothing was started. */
  readonly row: number;
  /** Its process or thread id. */
  readonly pid: number;
}

/** About a thread that was started with a token: its reply to its task; that it has exited, or could not be started. */
export type WorkerNotice =
  | { readonly type: 'taskReply'; readonly token: number; readonly reply: Uint8Array }
  | { readonly type: 'exited'; readonly token: number };

/** From a thread that works on one task. */
export interface TaskReply {
  readonly type: 'taskReply';
  readonly reply: Uint8Array;
}

/** The row of an exited worker may be used again: see StartRequest.requesterReleasesRow. */
export interface ReleaseRequest {
  readonly type: 'release';
  readonly row: number;
}

/** From the main program: the server listens. */
export interface Listening {
  readonly type: 'listening';
  readonly address: SocketAddress;
}

// --------------------------------------------------------------------------------------------------- supervisor and owner

/** An error, as structured cloning keeps it. */
export interface PlainError {
  readonly message: string;
  readonly code?: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
}

/** A thread or process of a server. */
export interface WorkerInfo {
  /** The process id, or Node's thread id; -1: it could not be started. */
  readonly id: number;
  /** 'process': a child process of this one; 'thread': a worker thread of this process. */
  readonly kind: 'thread' | 'process';
  /** 'main': the server's first thread; 'work': serves connections; 'task': works on requests for a reactor. */
  readonly role: Role;
}

/** A thread or process of a server, and its counts. */
export interface WorkerStats extends WorkerInfo {
  /** Connections that it has accepted itself. */
  readonly accepted: number;
  /** Connections that it serves now. */
  readonly open: number;
  /** Returns of its blocking calls: see ServerStats.wakeups. */
  readonly wakeups: number;
  /** Wake-ups after which there was nothing to do. */
  readonly emptyWakeups: number;
}

/** A thread or process that has exited and should not have. */
export interface WorkerExit extends WorkerInfo {
  /** 'SIGKILL', 'exit code 1', or the message of the error that it threw. */
  readonly why: string;
  /** How many connections ended with it. */
  readonly lost: number;
  /** Another is started in its place. */
  readonly isReplaced: boolean;
}

export type SupervisorEvent =
  | { readonly type: 'listening'; readonly address: SocketAddress }
  /** The server could not start. */
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'exit'; readonly exit: WorkerExit }
  /** To the request of this id. */
  | { readonly type: 'reply'; readonly id: number; readonly value: unknown }
  /** The last event. */
  | { readonly type: 'closed'; readonly totals: Totals };

/** All but 'close' get a reply, with the request's id. */
export type SupervisorRequest =
  | { readonly type: 'totals'; readonly id: number }
  | { readonly type: 'workers'; readonly id: number }
  | { readonly type: 'kill'; readonly id: number; readonly worker: number }
  | { readonly type: 'close' };

/** 'process 4711 has exited: SIGKILL; 3 connections are lost, another takes its place' */
export function describeExit({ kind, id, role, why, lost, isReplaced }: WorkerExit): string {
  const subject = id < 0 ? `a ${kind}` : `${kind} ${id}`;
  const duty = role === 'main' ? ', the server itself,' : '';
  const connections = lost === 1 ? '1 connection is lost' : `${lost} connections are lost`;
  return `${subject}${duty} has exited: ${why}; ${connections}${isReplaced ? ', another takes its place' : ''}`;
}

export function plainError(error: Error): PlainError {
  const { message, code, errno, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  return JSON.parse(JSON.stringify({ message, code, errno, syscall, address, port })) as PlainError;
}

/** The inverse of plainError(). */
export function errorOf({ message, ...fields }: PlainError): Error {
  return Object.assign(new Error(message), fields);
}
