/**
 * The threads that do a reactor's tasks, and the ways to and from them: a pool, each thread of which does one task after the other; or a
 * new thread for each task (post 003).
 *
 *   thread of a pool   starting --it says so--> free --a task--> busy --its answer--> free
 *                      any --it dies--> ended --the supervisor's notice, in time--> another is started
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { wakeup } from '../../index.js';
import { applicationRow } from '../applications/index.js';
import type { Server } from './server.js';
import type { Task, TaskThreads } from './tasks.js';

/** What a thread of a pool says when it has started. Then, an answer for each task. */
const READY = 'ready';
type FromPool = typeof READY | Uint8Array;

/** How often a reactor looks whether its threads have started, in milliseconds. */
const STARTING_LOOK = 2;

interface PooledThread {
  readonly port: MessagePort;
  readonly news: Int32Array;
  isReady: boolean;
  task: Task | null;
}

/** A fixed number of threads. One that dies is replaced. */
export class ThreadPool implements TaskThreads {
  readonly #server: Server;
  /** By the numbers under which the supervisor tells of their end. */
  readonly #threads = new Map<number, PooledThread>();
  #lastToken = 0;

  constructor(server: Server, threads: number) {
    this.#server = server;
    for (let i = 0; i < threads; i++) this.#start();
  }

  /** BLOCKS until all of its threads can take a task. */
  waitUntilReady(): void {
    const none = (): void => undefined; // no task has been given yet
    while ([...this.#threads.values()].some(({ isReady }) => !isReady)) {
      this.#server.pause(STARTING_LOOK);
      this.collect(none, none);
    }
  }

  /** One task at a time, so that none waits behind a long one while another thread is free. */
  give(task: Task): boolean {
    for (const thread of this.#threads.values()) {
      if (!thread.isReady || thread.task !== null) continue;
      thread.task = task;
      thread.port.postMessage(task.request);
      Atomics.add(thread.news, 0, 1);
      Atomics.notify(thread.news, 0);
      return true;
    }
    return false;
  }

  collect(answered: (task: Task, reply: Uint8Array) => void, lost: (task: Task) => void): void {
    for (const thread of this.#threads.values()) this.#receive(thread, answered);
    for (const { token } of this.#server.workers.notices()) {
      const thread = this.#threads.get(token);
      if (thread === undefined) continue;
      this.#receive(thread, answered);
      thread.port.close();
      this.#threads.delete(token);
      if (thread.task !== null) lost(thread.task);
      this.#start();
    }
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    const news = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const { wakeupHandle } = this.#server.count;
    this.#threads.set(++this.#lastToken, { port: port1, news, isReady: false, task: null });
    this.#server.workers.startPoolThread({ port: port2, news, wakeupHandle }, this.#lastToken);
  }

  #receive(thread: PooledThread, answered: (task: Task, reply: Uint8Array) => void): void {
    for (;;) {
      const received = receiveMessageOnPort(thread.port) as { readonly message: FromPool } | undefined;
      if (received === undefined) return;
      const { task } = thread;
      thread.isReady = true;
      if (received.message === READY || task === null) continue;
      thread.task = null;
      answered(task, received.message);
    }
  }
}

/** What the threads of a pool do. BLOCKS for as long as they live. */
export function answerTasks(server: Server): void {
  const answer = answerOf(server);
  const { port, news, wakeupHandle } = server.taskPort;
  const say = (message: FromPool): void => {
    port.postMessage(message);
    wakeup(wakeupHandle);
  };
  server.isReady();
  say(READY);
  for (;;) {
    const seen = Atomics.load(news, 0);
    const received = receiveMessageOnPort(port) as { readonly message: Uint8Array } | undefined;
    if (received === undefined) Atomics.wait(news, 0, seen);
    else say(Uint8Array.from(answer(asBuffer(received.message))));
  }
}

/** A new thread for each task. Its request goes with the order to start it, and its answer comes by way of the supervisor. */
export class ThreadPerTask implements TaskThreads {
  readonly #server: Server;
  readonly #most: number;
  readonly #tasks = new Map<number, Task | null>();
  #lastToken = 0;

  /** @param most so many threads at once */
  constructor(server: Server, most: number) {
    this.#server = server;
    this.#most = most;
  }

  give(task: Task): boolean {
    if (this.#tasks.size >= this.#most) return false;
    this.#tasks.set(++this.#lastToken, task);
    this.#server.workers.startTaskThread(task.request, this.#lastToken);
    return true;
  }

  collect(answered: (task: Task, reply: Uint8Array) => void, lost: (task: Task) => void): void {
    for (const notice of this.#server.workers.notices()) {
      const task = this.#tasks.get(notice.token);
      if (notice.type === 'answered') {
        this.#tasks.set(notice.token, null);
        if (task) answered(task, notice.reply);
      } else {
        this.#tasks.delete(notice.token);
        if (task) lost(task);
      }
    }
  }
}

/** What a thread for one task does. */
export function answerOne(server: Server): void {
  server.isReady();
  server.answer(Uint8Array.from(answerOf(server)(asBuffer(server.request))));
}

function answerOf({ settings }: Server): (request: Buffer) => Uint8Array {
  const { answer } = applicationRow(settings.application);
  if (answer === null) throw new Error(`the work of ${settings.application} cannot be done elsewhere`);
  return answer;
}

const asBuffer = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length);
