/**
 * The work of a reactor, done by other threads: what is asked goes to a thread (task-threads.ts), and the answer comes back to the reactor,
 * which writes it.
 *
 * The same thread reads for, and writes to, a connection all along; but tasks are finished in any order. Where answers have to keep the
 * order of the requests, one that is too early waits for those before it.
 *
 *   task   waiting --a thread is free--> given --it answers--> answered --those before it are written--> written
 *          given --its thread dies--> lost, and its connection with it: what is asked next would be taken for its answer
 */
import type { Application, Peer } from '../applications/application.js';
import { applicationRow } from '../applications/index.js';
import type { Server } from './server.js';

/** A connection that has so many unanswered requests is not read from, until half of them are answered. */
const MOST_PENDING = 64;
/** Nor are those that go on asking while requests of so many bytes wait for a thread, until half of that is gone. */
const MOST_WAITING_BYTES = 16 << 20;

export interface Task {
  readonly peer: TaskPeer;
  readonly request: Uint8Array;
  reply: Uint8Array | null;
}

/** Threads that do tasks. */
export interface TaskThreads {
  /** @returns false: none is free */
  give(task: Task): boolean;
  /** What has become of tasks since this was asked last. */
  collect(answered: (task: Task, reply: Uint8Array) => void, lost: (task: Task) => void): void;
}

/** In the reactor's thread. */
export class Tasks {
  /** Serves a connection: reads, has others do the work, and writes. */
  readonly application: Application;
  readonly #server: Server;
  readonly #threads: TaskThreads;
  readonly #keepsOrder: boolean;
  #waiting: Task[] = [];
  #waitingBytes = 0;
  readonly #held = new Set<TaskPeer>();

  /** @param options.keepsOrder answers are written in the order of the requests */
  constructor(server: Server, threads: TaskThreads, options: { readonly keepsOrder: boolean }) {
    this.#server = server;
    this.#threads = threads;
    this.#keepsOrder = options.keepsOrder;
    this.application = this.#threaded();
  }

  /** After each turn of the loop: writes the answers that have come. @returns how many */
  collect(): number {
    const { count } = this.#server;
    let collected = 0;
    this.#threads.collect(
      (task, reply) => {
        collected++;
        task.peer.answered(task, reply, this.#keepsOrder);
      },
      ({ peer }) => {
        collected++;
        if (peer.lose()) count.lost++;
      },
    );
    this.#dispatch();
    return collected;
  }

  /** The application, with its work done elsewhere. */
  #threaded(): Application {
    const own = applicationRow(this.#server.settings.application).create((peer, request) => this.#ask(peer, request));
    const peers = new WeakMap<Peer, TaskPeer>();
    const of = (peer: Peer): TaskPeer => peers.get(peer) as TaskPeer;
    return {
      borrowsChunks: true,
      open(peer) {
        const taskPeer = new TaskPeer(peer);
        peers.set(peer, taskPeer);
        own.open?.(taskPeer);
      },
      data: (peer, chunk) => own.data(of(peer), chunk),
      end: (peer) => of(peer).end(),
      close: (peer) => {
        this.#forget(of(peer));
        own.close?.(of(peer));
      },
      ...(own.stop === undefined ? {} : { stop: () => own.stop?.() }),
    };
  }

  #ask(peer: Peer, request: Buffer): void {
    if (!(peer instanceof TaskPeer)) return;
    const task: Task = { peer, request: Uint8Array.from(request), reply: null };
    peer.asked(task);
    this.#waiting.push(task);
    this.#waitingBytes += request.length;
    this.#dispatch();
    if (this.#waitingBytes <= MOST_WAITING_BYTES) return;
    this.#held.add(peer);
    peer.hold(true);
  }

  #dispatch(): void {
    let given = 0;
    for (const task of this.#waiting) {
      if (!this.#threads.give(task)) break;
      this.#waitingBytes -= task.request.length;
      given++;
    }
    if (given > 0) this.#waiting.splice(0, given);
    this.#server.count.tasksWaiting = this.#waiting.length;
    if (this.#held.size === 0 || this.#waitingBytes > MOST_WAITING_BYTES / 2) return;
    for (const peer of this.#held) peer.hold(false);
    this.#held.clear();
  }

  /** It is closed: nobody works for it any more. */
  #forget(peer: TaskPeer): void {
    peer.isClosed = true;
    this.#held.delete(peer);
    if (!peer.hasPending) return;
    const [own, others] = [[] as Task[], [] as Task[]];
    for (const task of this.#waiting) (task.peer === peer ? own : others).push(task);
    this.#waiting = others;
    for (const { request } of own) this.#waitingBytes -= request.length;
    this.#dispatch();
  }
}

/** The peer, as the application sees it whose work is done elsewhere. */
export class TaskPeer implements Peer {
  data: unknown;
  isClosed = false;
  readonly #peer: Peer;
  readonly #pending: Task[] = [];
  #isFull = false;
  #isHeld = false;
  #isOwn = false;
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

  asked(task: Task): void {
    this.#pending.push(task);
    if (this.#pending.length >= MOST_PENDING) this.#pauseWhile({ isFull: true });
  }

  answered(task: Task, reply: Uint8Array, keepsOrder: boolean): void {
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
    if (this.#pending.length <= MOST_PENDING / 2) this.#pauseWhile({ isFull: false });
    if (this.#isEnding && this.#pending.length === 0) this.#peer.end();
  }

  /** Too much waits already, of whomever. */
  hold(isHeld: boolean): void {
    this.#pauseWhile({ isHeld });
  }

  /** A thread has died with one of its requests. @returns false: it was over before */
  lose(): boolean {
    if (this.isClosed) return false;
    this.isClosed = true;
    this.#peer.destroy(new Error('the thread that worked on its request has died'));
    return true;
  }

  /** Paused for one of several reasons: that its requests are too many, that all have too many, or that the application asks for it. */
  #pauseWhile(reasons: { readonly isFull?: boolean; readonly isHeld?: boolean; readonly isOwn?: boolean }): void {
    const wasPaused = this.#isPaused;
    this.#isFull = reasons.isFull ?? this.#isFull;
    this.#isHeld = reasons.isHeld ?? this.#isHeld;
    this.#isOwn = reasons.isOwn ?? this.#isOwn;
    if (this.#isPaused && !wasPaused) this.#peer.pause();
    if (!this.#isPaused && wasPaused) this.#peer.resume();
  }

  get #isPaused(): boolean {
    return this.#isFull || this.#isHeld || this.#isOwn;
  }

  write(bytes: Uint8Array | string): boolean {
    return this.#peer.write(bytes);
  }

  /** When all has been answered that was asked. */
  end(): void {
    this.#isEnding = true;
    if (this.#pending.length === 0) this.#peer.end();
  }

  destroy(error?: Error): void {
    this.#peer.destroy(error);
  }

  pause(): void {
    this.#pauseWhile({ isOwn: true });
  }

  resume(): void {
    this.#pauseWhile({ isOwn: false });
  }
}
