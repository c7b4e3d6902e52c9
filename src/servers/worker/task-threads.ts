/**
 * The threads that work on a reactor's tasks: a pool of threads, or a new thread for each task (post 003).
 *
 *   thread of a pool   starting --READY--> free --a task--> busy --its reply--> free
 *                      any --it exits--> exited --the supervisor's notice, at once or after a pause--> another is started
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { wakeup } from '../../index.js';
import { applicationRow } from '../applications/index.js';
import type { Server } from './server.js';
import type { Task, TaskThreads } from './tasks.js';

/** The first message of a thread of a pool. A reply to each task follows. */
const READY = 'ready';
type PoolMessage = typeof READY | Uint8Array;

/** How often waitUntilReady() checks the threads. */
const POLL_INTERVAL_MS = 2;

interface PooledThread {
  readonly port: MessagePort;
  /** See TaskPort.taskCount. */
  readonly taskCount: Int32Array;
  isReady: boolean;
  task: Task | null;
}

/** A fixed number of threads. One that exits is replaced. */
export class ThreadPool implements TaskThreads {
  readonly #server: Server;
  /** By the tokens of the supervisor's notices. */
  readonly #threads = new Map<number, PooledThread>();
  #lastToken = 0;

  constructor(server: Server, threads: number) {
    this.#server = server;
    for (let i = 0; i < threads; i++) this.#start();
  }

  /** BLOCKS until all threads can take a task. */
  waitUntilReady(): void {
    const none = (): void => undefined; // no thread has a task yet
    while ([...this.#threads.values()].some(({ isReady }) => !isReady)) {
      this.#server.pause(POLL_INTERVAL_MS);
      this.collect(none, none);
    }
  }

  /** A thread has one task at a time, so that no task waits behind a slow one while another thread is free. */
  tryAssign(task: Task): boolean {
    for (const thread of this.#threads.values()) {
      if (!thread.isReady || thread.task !== null) continue;
      thread.task = task;
      thread.port.postMessage(task.request);
      Atomics.add(thread.taskCount, 0, 1);
      Atomics.notify(thread.taskCount, 0);
      return true;
    }
    return false;
  }

  collect(onReply: (task: Task, reply: Uint8Array) => void, onLost: (task: Task) => void): void {
    for (const thread of this.#threads.values()) this.#receive(thread, onReply);
    for (const { token } of this.#server.workers.notices()) {
      const thread = this.#threads.get(token);
      if (thread === undefined) continue;
      this.#receive(thread, onReply);
      thread.port.close();
      this.#threads.delete(token);
      if (thread.task !== null) onLost(thread.task);
      this.#start();
    }
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    const taskCount = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const { wakeupHandle } = this.#server.count;
    this.#threads.set(++this.#lastToken, { port: port1, taskCount, isReady: false, task: null });
    this.#server.workers.startPoolThread({ port: port2, taskCount, wakeupHandle }, this.#lastToken);
  }

  #receive(thread: PooledThread, onReply: (task: Task, reply: Uint8Array) => void): void {
    for (;;) {
      const received = receiveMessageOnPort(thread.port) as { readonly message: PoolMessage } | undefined;
      if (received === undefined) return;
      const { task } = thread;
      thread.isReady = true;
      if (received.message === READY || task === null) continue;
      thread.task = null;
      onReply(task, received.message);
    }
  }
}

/** The program of the threads of a pool: works on one task after the other. BLOCKS until the thread is terminated. */
export function answerTasks(server: Server): void {
  const answer = answerOf(server);
  const { port, taskCount, wakeupHandle } = server.taskPort;
  const post = (message: PoolMessage): void => {
    port.postMessage(message);
    wakeup(wakeupHandle);
  };
  server.markReady();
  post(READY);
  for (;;) {
    const seen = Atomics.load(taskCount, 0);
    const received = receiveMessageOnPort(port) as { readonly message: Uint8Array } | undefined;
    if (received === undefined) Atomics.wait(taskCount, 0, seen);
    else post(Uint8Array.from(answer(asBuffer(received.message))));
  }
}

/** A new thread for each task. The StartRequest carries the task; the reply comes from the supervisor, as a notice. */
export class ThreadPerTask implements TaskThreads {
  readonly #server: Server;
  readonly #maxThreads: number;
  /** By token; null: the task is done, and its thread has not exited yet. */
  readonly #tasks = new Map<number, Task | null>();
  #lastToken = 0;

  constructor(server: Server, maxThreads: number) {
    this.#server = server;
    this.#maxThreads = maxThreads;
  }

  tryAssign(task: Task): boolean {
    if (this.#tasks.size >= this.#maxThreads) return false;
    this.#tasks.set(++this.#lastToken, task);
    this.#server.workers.startTaskThread(task.request, this.#lastToken);
    return true;
  }

  collect(onReply: (task: Task, reply: Uint8Array) => void, onLost: (task: Task) => void): void {
    for (const notice of this.#server.workers.notices()) {
      const task = this.#tasks.get(notice.token);
      if (notice.type === 'taskReply') {
        this.#tasks.set(notice.token, null);
        if (task) onReply(task, notice.reply);
      } else {
        this.#tasks.delete(notice.token);
        if (task) onLost(task);
      }
    }
  }
}

/** The program of a thread that works on one task. */
export function answerOneTask(server: Server): void {
  server.markReady();
  server.replyToTask(Uint8Array.from(answerOf(server)(asBuffer(server.task))));
}

function answerOf({ settings }: Server): (request: Buffer) => Uint8Array {
  const { answer } = applicationRow(settings.application);
  if (answer === null) throw new Error(`the requests of ${settings.application} cannot be answered in another thread`);
  return answer;
}

const asBuffer = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length);
