/**
 * The work of a reactor, done by other threads: what is asked goes to a thread, and the answer comes back to the reactor, which writes it.
 *
 * The same thread reads for, and writes to, a connection all along; but tasks are finished in any order. Where answers have to keep the
 * order of the requests, one that is too early waits for those before it.
 *
 *   task   given --a thread answers--> answered --those before it are written--> written
 *          given --its thread dies--> lost, and its connection with it: what is asked next would be taken for its answer
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { wakeup } from '../index.js';
import type { Application, Peer } from './applications/application.js';
import { applicationRow } from './applications/index.js';
import type { Server } from './server.js';

/** A connection that has so many unanswered requests is not read from, until half of them are answered. */
const MOST_PENDING = 64;

interface TaskMessage {
  readonly request: Uint8Array;
  /** What wakes the loop that waits for the answer. */
  readonly wakeupHandle: number;
}

interface Task {
  readonly peer: TaskPeer;
  reply: Uint8Array | null;
}

/** A thread, as the one sees it that gives it tasks. */
interface TaskThread {
  readonly token: number;
  readonly port: MessagePort;
  readonly news: Int32Array;
  /** Given, in the order in which it will answer. */
  readonly given: Task[];
}

/** In the reactor's thread. */
export class Tasks {
  /** Serves a connection: reads, has others do the work, and writes. */
  readonly application: Application;
  readonly #server: Server;
  readonly #keepsOrder: boolean;
  /** How many threads there are at the most, and whether one ends with its task. */
  readonly #most: number;
  readonly #isPool: boolean;
  readonly #threads = new Map<number, TaskThread>();
  readonly #waiting: { readonly task: Task; readonly request: Uint8Array }[] = [];
  #lastToken = 0;

  /**
   * @param options.threads a pool of so many threads; with `onePerTask`, so many at once at the most, each of which does one task and ends
   * @param options.keepsOrder answers are written in the order of the requests
   */
  constructor(
    server: Server,
    options: { readonly threads: number; readonly onePerTask?: boolean; readonly keepsOrder: boolean },
  ) {
    this.#server = server;
    this.#keepsOrder = options.keepsOrder;
    this.#most = options.threads;
    this.#isPool = options.onePerTask !== true;
    if (this.#isPool) for (let i = 0; i < this.#most; i++) this.#startThread();
    this.application = this.#threaded();
  }

  /** After each turn of the loop: writes the answers that have come. */
  collect(): void {
    for (const thread of this.#threads.values()) this.#receive(thread);
    for (const token of this.#server.workers.ended()) this.#ended(token);
    this.#dispatch();
  }

  /** The application, with its work done elsewhere. */
  #threaded(): Application {
    const own = applicationRow(this.#server.settings.application).create((peer, request) => this.#give(peer, request));
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
      close(peer) {
        of(peer).isClosed = true;
        own.close?.(of(peer));
      },
    };
  }

  #give(peer: Peer, request: Buffer): void {
    if (!(peer instanceof TaskPeer)) return;
    const task: Task = { peer, reply: null };
    peer.asked(task);
    this.#server.count.enqueued++;
    this.#waiting.push({ task, request: Uint8Array.from(request) });
    this.#dispatch();
  }

  /** To each thread of a pool one task at a time, so that none waits behind a long one while another thread is free. */
  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#freeThread();
      if (thread === undefined) return;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#server.count.dequeued++;
      if (next.task.peer.isClosed) continue;
      thread.given.push(next.task);
      const message: TaskMessage = { request: next.request, wakeupHandle: this.#server.count.wakeupHandle };
      thread.port.postMessage(message);
      Atomics.add(thread.news, 0, 1);
      Atomics.notify(thread.news, 0);
    }
  }

  #freeThread(): TaskThread | undefined {
    if (this.#isPool) return [...this.#threads.values()].find(({ given }) => given.length === 0);
    return this.#threads.size < this.#most ? this.#startThread() : undefined;
  }

  #startThread(): TaskThread {
    const { port1, port2 } = new MessageChannel();
    const news = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const thread = { token: ++this.#lastToken, port: port1, news, given: [] };
    this.#threads.set(thread.token, thread);
    this.#server.workers.startTaskThread(port2, news, thread.token);
    return thread;
  }

  #receive(thread: TaskThread): void {
    for (;;) {
      const received = receiveMessageOnPort(thread.port) as { readonly message: Uint8Array } | undefined;
      if (received === undefined) return;
      const task = thread.given.shift();
      if (task === undefined) continue;
      task.reply = received.message;
      task.peer.answered(task, this.#keepsOrder);
    }
  }

  #ended(token: number): void {
    const thread = this.#threads.get(token);
    if (thread === undefined) return;
    this.#receive(thread);
    this.#threads.delete(token);
    thread.port.close();
    for (const { peer } of thread.given) if (peer.lose()) this.#server.count.lost++;
    if (this.#isPool) this.#startThread();
  }
}

/** The peer, as the application sees it whose work is done elsewhere. */
class TaskPeer implements Peer {
  data: unknown;
  isClosed = false;
  readonly #peer: Peer;
  readonly #pending: Task[] = [];
  #isPaused = false;
  #isEnding = false;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  get writableLength(): number {
    return this.#peer.writableLength;
  }

  asked(task: Task): void {
    this.#pending.push(task);
    if (this.#pending.length < MOST_PENDING || this.#isPaused) return;
    this.#isPaused = true;
    this.#peer.pause();
  }

  answered(task: Task, keepsOrder: boolean): void {
    if (this.isClosed) return;
    if (!keepsOrder) {
      this.#pending.splice(this.#pending.indexOf(task), 1);
      this.#write(task);
    }
    while (this.#pending[0]?.reply) this.#write(this.#pending.shift());
    if (this.#isPaused && this.#pending.length <= MOST_PENDING / 2) {
      this.#isPaused = false;
      this.#peer.resume();
    }
    if (this.#isEnding && this.#pending.length === 0) this.#peer.end();
  }

  /** A thread has died with one of its requests. @returns false: it was over before */
  lose(): boolean {
    if (this.isClosed) return false;
    this.isClosed = true;
    this.#peer.destroy(new Error('the thread that worked on its request has died'));
    return true;
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
    this.#peer.pause();
  }

  resume(): void {
    this.#peer.resume();
  }

  #write(task: Task | undefined): void {
    if (task?.reply) this.#peer.write(task.reply);
  }
}

/** In a thread that does tasks. */
export class TaskSource {
  readonly #port: MessagePort;
  readonly #news: Int32Array;

  constructor(port: MessagePort, news: Int32Array) {
    this.#port = port;
    this.#news = news;
  }

  /** BLOCKS until there is a task, and answers it. @param answer what comes of a request */
  answerOne(answer: (request: Buffer) => Uint8Array): void {
    for (;;) {
      const seen = Atomics.load(this.#news, 0);
      const received = receiveMessageOnPort(this.#port) as { readonly message: TaskMessage } | undefined;
      if (received === undefined) {
        Atomics.wait(this.#news, 0, seen);
        continue;
      }
      const { request, wakeupHandle } = received.message;
      this.#port.postMessage(Uint8Array.from(answer(Buffer.from(request.buffer))));
      wakeup(wakeupHandle);
      return;
    }
  }
}

/** What the threads of a pool do. BLOCKS for as long as they live. */
export function answerTasks(server: Server): void {
  const { answer } = applicationRow(server.settings.application);
  if (answer === null) throw new Error('the work of this application cannot be done elsewhere');
  for (;;) server.tasks.answerOne(answer);
}
