/**
 * The requests of a reactor's connections, answered in other threads (task-threads.ts). The reactor reads the requests and writes the replies.
 *
 * Tasks finish in any order. If replies have to keep the order of the requests, a reply that is early waits for those before it.
 *
 *   task   waiting --a thread is free--> assigned --its reply--> answered --replies before it are written--> written
 *          assigned --its thread exits--> lost; its connection is closed, since the next reply would be taken for the lost one
 */
import type { Application, Peer } from '../applications/application.js';
import { applicationRow } from '../applications/index.js';
import type { Server } from './server.js';

/** A connection with this number of unanswered requests is paused until half of them are answered. */
const MAX_PENDING = 64;
/** While more bytes of requests wait for a thread, a connection that sends another request is paused, until half of the bytes are assigned. */
const MAX_QUEUED_BYTES = 16 << 20;

export interface Task {
  readonly peer: TaskPeer;
  readonly request: Uint8Array;
  /** null: not answered yet. */
  reply: Uint8Array | null;
}

/** Threads that work on tasks. */
export interface TaskThreads {
  /** @returns false: no thread is free */
  tryAssign(task: Task): boolean;
  /** Calls back for each task that was answered, or lost since its thread has exited, since the last call. */
  collect(onReply: (task: Task, reply: Uint8Array) => void, onLost: (task: Task) => void): void;
}

/** The side of the reactor's thread. */
export class Tasks {
  /** The application for the reactor's handler: it reads requests and writes replies; threads answer. */
  readonly application: Application;
  readonly #server: Server;
  readonly #threads: TaskThreads;
  readonly #keepsOrder: boolean;
  #queue: Task[] = [];
  #queuedBytes = 0;
  /** Paused because of MAX_QUEUED_BYTES. */
  readonly #paused = new Set<TaskPeer>();

  /** @param options.keepsOrder replies are written in the order of the requests; false: as soon as they come */
  constructor(server: Server, threads: TaskThreads, options: { readonly keepsOrder: boolean }) {
    this.#server = server;
    this.#threads = threads;
    this.#keepsOrder = options.keepsOrder;
    this.application = this.#createApplication();
  }

  /** To be called after each turn of the loop: writes the replies that have come. @returns the number of tasks that are finished */
  collect(): number {
    const { count } = this.#server;
    let collected = 0;
    this.#threads.collect(
      (task, reply) => {
        collected++;
        task.peer.onReply(task, reply, this.#keepsOrder);
      },
      ({ peer }) => {
        collected++;
        if (peer.onTaskLost()) count.lost++;
      },
    );
    this.#assignQueued();
    return collected;
  }

  /** The server's application, whose requests become tasks. */
  #createApplication(): Application {
    const own = applicationRow(this.#server.settings.application).create((peer, request) =>
      this.#onRequest(peer, request),
    );
    const peers = new WeakMap<Peer, TaskPeer>();
    const taskPeerOf = (peer: Peer): TaskPeer => peers.get(peer) as TaskPeer;
    return {
      borrowsChunks: true,
      open(peer) {
        const taskPeer = new TaskPeer(peer);
        peers.set(peer, taskPeer);
        own.open?.(taskPeer);
      },
      data: (peer, chunk) => own.data(taskPeerOf(peer), chunk),
      end: (peer) => taskPeerOf(peer).end(),
      close: (peer) => {
        this.#dropTasks(taskPeerOf(peer));
        own.close?.(taskPeerOf(peer));
      },
      ...(own.stop === undefined ? {} : { stop: () => own.stop?.() }),
    };
  }

  #onRequest(peer: Peer, request: Buffer): void {
    if (!(peer instanceof TaskPeer)) return;
    const task: Task = { peer, request: Uint8Array.from(request), reply: null };
    peer.onRequest(task);
    this.#queue.push(task);
    this.#queuedBytes += request.length;
    this.#assignQueued();
    if (this.#queuedBytes <= MAX_QUEUED_BYTES) return;
    this.#paused.add(peer);
    peer.setHeld(true);
  }

  #assignQueued(): void {
    let assigned = 0;
    for (const task of this.#queue) {
      if (!this.#threads.tryAssign(task)) break;
      this.#queuedBytes -= task.request.length;
      assigned++;
    }
    if (assigned > 0) this.#queue.splice(0, assigned);
    this.#server.count.tasksWaiting = this.#queue.length;
    if (this.#paused.size === 0 || this.#queuedBytes > MAX_QUEUED_BYTES / 2) return;
    for (const peer of this.#paused) peer.setHeld(false);
    this.#paused.clear();
  }

  /** The peer is closed: drops its tasks that are not assigned. */
  #dropTasks(peer: TaskPeer): void {
    peer.isClosed = true;
    this.#paused.delete(peer);
    if (!peer.hasPending) return;
    const [dropped, others] = [[] as Task[], [] as Task[]];
    for (const task of this.#queue) (task.peer === peer ? dropped : others).push(task);
    this.#queue = others;
    for (const { request } of dropped) this.#queuedBytes -= request.length;
    this.#assignQueued();
  }
}

/** A peer as the application sees it: its requests are answered by other threads, and end() waits for the replies. */
export class TaskPeer implements Peer {
  data: unknown;
  isClosed = false;
  readonly #peer: Peer;
  readonly #pending: Task[] = [];
  /** It has MAX_PENDING unanswered requests. */
  #isFull = false;
  /** MAX_QUEUED_BYTES wait for a thread. */
  #isHeld = false;
  #isPausedByApplication = false;
  #isEnding = false;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  get loop(): Peer['loop'] {
    return this.#peer.loop;
  }

  get writableLength(): number {
    return this.#peer.writableLength;
  }

  get unsentLength(): number {
    return this.#peer.unsentLength ?? this.#peer.writableLength;
  }

  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  onRequest(task: Task): void {
    this.#pending.push(task);
    if (this.#pending.length >= MAX_PENDING) this.#pauseWhile({ isFull: true });
  }

  onReply(task: Task, reply: Uint8Array, keepsOrder: boolean): void {
    if (this.isClosed) return;
    task.reply = reply;
    if (!keepsOrder) {
      this.#pending.splice(this.#pending.indexOf(task), 1);
      this.#peer.write(reply);
    }
    for (let first = this.#pending[0]?.reply; first; first = this.#pending[0]?.reply) {
      this.#pending.shift();
      this.#peer.write(first);
    }
    if (this.#pending.length <= MAX_PENDING / 2) this.#pauseWhile({ isFull: false });
    if (this.#isEnding && this.#pending.length === 0) this.#peer.end();
  }

  /** Pauses it while too many bytes of all connections wait for a thread. */
  setHeld(isHeld: boolean): void {
    this.#pauseWhile({ isHeld });
  }

  /** The thread that worked on one of its requests has exited: closes it. @returns false: it was closed before */
  onTaskLost(): boolean {
    if (this.isClosed) return false;
    this.isClosed = true;
    this.#peer.destroy(new Error('the thread that worked on its request has exited'));
    return true;
  }

  /** Paused while at least one of the three reasons holds. */
  #pauseWhile(reasons: {
    readonly isFull?: boolean;
    readonly isHeld?: boolean;
    readonly isPausedByApplication?: boolean;
  }): void {
    const wasPaused = this.#isPaused;
    this.#isFull = reasons.isFull ?? this.#isFull;
    this.#isHeld = reasons.isHeld ?? this.#isHeld;
    this.#isPausedByApplication = reasons.isPausedByApplication ?? this.#isPausedByApplication;
    if (this.#isPaused && !wasPaused) this.#peer.pause();
    if (!this.#isPaused && wasPaused) this.#peer.resume();
  }

  get #isPaused(): boolean {
    return this.#isFull || this.#isHeld || this.#isPausedByApplication;
  }

  write(bytes: Uint8Array | string): boolean {
    return this.#peer.write(bytes);
  }

  /** Ends the stream after the replies to all requests. */
  end(): void {
    this.#isEnding = true;
    if (this.#pending.length === 0) this.#peer.end();
  }

  destroy(error?: Error): void {
    this.#peer.destroy(error);
  }

  pause(): void {
    this.#pauseWhile({ isPausedByApplication: true });
  }

  resume(): void {
    this.#pauseWhile({ isPausedByApplication: false });
  }
}
