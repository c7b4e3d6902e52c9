/**
 * The thread that starts a server's threads and processes, sees them end, and starts others in their place. It never blocks.
 *
 *   server   starting --the first program listens--> serving --close(), or the first program ends--> closing
 *            closing --all threads and processes have ended--> closed
 *   worker   starting --it has what it was handed--> serving --it ends--> ended --in time, where it is one of a fixed number--> starting
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MessagePort, Worker, parentPort, workerData } from 'node:worker_threads';
import { Socket, type SocketAddress, wakeup } from '../index.js';
import { closeQuietly } from './blocking.js';
import { ConnectionQueue } from './connection-queue.js';
import type { ServerModelName } from './model.js';
import { models } from './models/index.js';
import type { ProcessJob } from './process.js';
import type { Job, Listening } from './program.js';
import { STARTING, Scoreboard, type Totals } from './scoreboard.js';
import { CLOSING, type ServerSettings } from './server.js';
import type { ThreadData } from './thread.js';
import type { Answer, Notice, ReleaseRequest, StartRequest } from './workers.js';

export interface SupervisorData {
  readonly model: ServerModelName;
  readonly settings: ServerSettings;
  /** To who has started the server. */
  readonly port: MessagePort;
  /** Counts what was said over the port, for one that blocks. */
  readonly said: Int32Array;
}

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
  /** main: the server's own program. work: serves connections. task: does the work of requests. */
  readonly role: 'main' | 'work' | 'task';
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

/** A thread or a process. */
interface Hand {
  readonly row: number;
  readonly request: StartRequest;
  readonly startedAt: number;
  readonly asker: Hand | null;
  readonly threadOrProcess: Worker | ChildProcess;
  readonly id: number;
  /** What it threw. */
  error: Error | null;
  /** How it ended, where its row is still somebody's. */
  ended: string | null;
  isReleased: boolean;
}

/** Threads have so long to end by themselves when the server is closed, in milliseconds; processes, before they are killed. */
const THREADS_GRACE = 250;
const PROCESSES_GRACE = 2000;
/** One that dies within this time of its start has a longer and longer wait before its successor. */
const TOO_SOON = 1000;
const LONGEST_WAIT = 5000;
/** Ctrl-C goes to the processes of a terminal all at once: who dies of it is missed only if the server still lives then. */
const AFTER_CTRL_C = 1000;
/** Rows for those beyond what a server is asked for: the first program, pools of tasks, successors. */
const SPARE_ROWS = 100;

class Supervisor {
  readonly #model: ServerModelName;
  readonly #settings: ServerSettings;
  readonly #say: (said: Said) => void;
  readonly #port: MessagePort;
  readonly #control = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #folder = mkdtempSync(join(tmpdir(), 'selectors-native-'));
  readonly #scoreboard: Scoreboard;
  readonly #freeRows: number[];
  /** Those that are to be started when a row is free. */
  readonly #waiting: (() => void)[] = [];
  readonly #hands = new Map<number, Hand>();
  readonly #queues = new Set<SharedArrayBuffer>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Processes have the other end: it says that this process has gone. */
  readonly #lifeline: [ours: Socket, theirs: Socket] | null;
  #failures = 0;
  #isListening = false;

  constructor({ model, settings, port, said }: SupervisorData) {
    this.#model = model;
    this.#settings = settings;
    this.#port = port;
    this.#say = speaker({ port, said });
    const { workers, startsForEach } = models[model];
    const each = startsForEach ? settings.maxConnections : 0;
    this.#scoreboard = new Scoreboard(
      join(this.#folder, 'scoreboard'),
      SPARE_ROWS + each + 4 * (workers === null ? 0 : settings.workers),
    );
    this.#freeRows = Array.from({ length: this.#scoreboard.size - 1 }, (_, index) => index + 1);
    this.#lifeline = workers === 'processes' ? Socket.pair() : null;
    port.on('message', (asked: Asked) => this.#onAsked(asked));
    this.#start({ type: 'start', kind: 'thread', role: 'main', fds: [], handed: 0, replace: false }, null);
  }

  get #isClosing(): boolean {
    return Atomics.load(this.#control, CLOSING) !== 0;
  }

  #onAsked(asked: Asked): void {
    switch (asked.type) {
      case 'totals':
        return this.#say({ type: 'reply', id: asked.id, value: this.#scoreboard.totals() });
      case 'workers':
        return this.#say({
          type: 'reply',
          id: asked.id,
          value: [...this.#hands.values()].filter(({ ended }) => ended === null).map(infoOf),
        });
      case 'kill':
        return this.#say({ type: 'reply', id: asked.id, value: this.#kill(asked.worker) });
      case 'close':
        return this.#close();
    }
  }

  // ------------------------------------------------------------------------------------------------------------- starting

  #start(request: StartRequest, asker: Hand | null): void {
    if (this.#isClosing) return this.#refuse(request, asker);
    const row = this.#freeRows.pop();
    if (row === undefined) return void this.#waiting.push(() => this.#start(request, asker));
    this.#scoreboard.clear(row).handed = request.handed;
    try {
      const start = request.kind === 'thread' ? this.#startThread : this.#startProcess;
      const hand = start.call(this, row, request, asker);
      if (hand !== null) {
        this.#hands.set(row, hand);
        return this.#answer(request, asker, row, hand.id);
      }
    } catch (error) {
      this.#onNotStarted(request, asker, error as Error);
    }
    this.#freeRows.push(row);
    this.#refuse(request, asker);
  }

  /** What a thread was to take over belongs to nobody now. */
  #refuse(request: StartRequest, asker: Hand | null): void {
    if (request.kind === 'thread') closeAll(request.fds);
    this.#answer(request, asker, -1, 0);
  }

  #startThread(row: number, request: StartRequest, asker: Hand | null): Hand {
    const { fds, queue, tasks } = request;
    if (queue !== undefined) this.#queues.add(queue);
    const data: ThreadData = {
      ...this.#job(row, request),
      fds,
      control: this.#control,
      ...(queue === undefined ? {} : { queue }),
      ...(tasks === undefined ? {} : { tasks }),
    };
    const worker = new Worker(join(__dirname, 'thread.js'), {
      workerData: data,
      transferList: tasks === undefined ? [] : [tasks.port],
      execArgv: [],
    });
    const hand = newHand(row, request, asker, worker, worker.threadId);
    worker.on('message', (message: StartRequest | ReleaseRequest | Listening) => this.#onMessage(message, hand));
    worker.on('error', (error) => (hand.error = error));
    worker.on('exit', (code) => this.#onExit(hand, hand.error?.message ?? (code === 0 ? null : `exit code ${code}`)));
    return hand;
  }

  #startProcess(row: number, request: StartRequest, asker: Hand | null): Hand | null {
    const theirs = this.#lifeline?.[1];
    const fds = [...request.fds, ...(theirs === undefined ? [] : [theirs.fd])];
    const job: ProcessJob = { ...this.#job(row, request), sockets: fds.length };
    const isWindows = process.platform === 'win32';
    const child = spawn(process.execPath, [join(__dirname, 'process.js'), JSON.stringify(job)], {
      stdio: [isWindows ? 'pipe' : 'ignore', 'inherit', 'inherit', ...(isWindows ? [] : fds)],
      windowsHide: true,
    });
    const { pid } = child;
    child.on('error', (error) => {
      if (pid === undefined) this.#onNotStarted(request, asker, error); // EAGAIN, ENOMEM, EMFILE
    });
    if (pid === undefined) return null;
    if (isWindows) share(child, pid, fds);
    const hand = newHand(row, request, asker, child, pid);
    child.on('exit', (code, signal) => this.#onExit(hand, signal ?? (code === 0 ? null : `exit code ${code}`)));
    return hand;
  }

  #job(row: number, { role }: StartRequest): Job {
    const { path, size } = this.#scoreboard;
    return { model: this.#model, role, settings: this.#settings, scoreboard: { path, size }, row };
  }

  /** It sleeps until it knows. */
  #answer({ answered }: StartRequest, asker: Hand | null, row: number, pid: number): void {
    if (answered === undefined) return;
    this.#tell(asker, { type: 'started', row, pid });
    Atomics.add(answered, 0, 1);
    Atomics.notify(answered, 0);
  }

  #tell(asker: Hand | null, message: Answer | Notice): void {
    if (asker?.threadOrProcess instanceof Worker) asker.threadOrProcess.postMessage(message);
  }

  #onNotStarted(request: StartRequest, asker: Hand | null, error: Error): void {
    if (this.#isClosing) return;
    const { kind, role, replace } = request;
    const exit = { id: -1, kind, role, why: `not started: ${error.message}`, lost: 0, isReplaced: replace };
    this.#say({ type: 'exit', exit });
    if (replace) this.#later(this.#nextWait(), () => this.#start(withoutAnswer(request), asker));
  }

  #onMessage(message: StartRequest | ReleaseRequest | Listening, from: Hand): void {
    switch (message.type) {
      case 'start':
        return this.#start(message, from);
      case 'listening':
        this.#isListening = true;
        return this.#say(message);
      case 'release': {
        const hand = this.#hands.get(message.row);
        if (hand === undefined) return;
        hand.isReleased = true;
        if (hand.ended !== null) this.#bury(hand);
      }
    }
  }

  // --------------------------------------------------------------------------------------------------------------- ending

  /** @param why null: of its own will */
  #onExit(hand: Hand, why: string | null): void {
    hand.ended = why ?? '';
    const { request } = hand;
    // It had not taken yet what it was handed.
    if (request.kind === 'thread' && this.#scoreboard.row(hand.row).state === STARTING) closeAll(request.fds);
    for (const other of this.#hands.values()) if (other.asker === hand && other.request.role === 'task') end(other);
    if (request.keepsRow && !hand.isReleased && !this.#isClosing) return; // its parent has a word to say
    this.#bury(hand);
  }

  /** It has ended, and its row is nobody's. */
  #bury(hand: Hand): void {
    const { request, asker, row } = hand;
    const lost = this.#scoreboard.retire(row);
    this.#hands.delete(row);
    this.#freeRows.push(row);
    if (this.#isClosing) return this.#goOnClosing();
    this.#waiting.shift()?.();
    if (request.token !== undefined) {
      this.#tell(asker, { type: 'ended', token: request.token });
      if (asker !== null) wakeLoop(this.#scoreboard.row(asker.row).wakeupHandle);
    }
    if (request.role === 'main') return this.#onMainEnded(hand);
    const { replace, keepsRow } = request;
    if (hand.ended === '' && !replace) return;
    const exit = { ...infoOf(hand), why: hand.ended === '' ? 'exit code 0' : (hand.ended ?? ''), lost };
    const tell = (): void => {
      this.#scoreboard.row(0).lost += lost;
      this.#say({
        type: 'exit',
        exit: { ...exit, isReplaced: replace || keepsRow === true || request.role === 'task' },
      });
      if (replace) this.#later(this.#waitAfter(hand), () => this.#start(withoutAnswer(request), asker));
    };
    if (hand.ended === 'SIGINT') this.#later(AFTER_CTRL_C, tell);
    else tell();
  }

  /** There is no server any more. */
  #onMainEnded(hand: Hand): void {
    const why = hand.ended === '' || hand.ended === null ? 'the server has ended by itself' : hand.ended;
    if (this.#isListening) {
      this.#say({ type: 'exit', exit: { ...infoOf(hand), why, lost: 0, isReplaced: false } });
    } else {
      this.#say({ type: 'failed', error: plainError(hand.error ?? new Error(why)) });
    }
    this.#close();
  }

  /** A successor waits longer and longer if nobody lives for long. */
  #waitAfter(hand: Hand): number {
    if (performance.now() - hand.startedAt < TOO_SOON) return this.#nextWait();
    this.#failures = 0;
    return 0;
  }

  #nextWait(): number {
    return Math.min(50 * 2 ** this.#failures++, LONGEST_WAIT);
  }

  #later(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isClosing) action();
    }, ms);
    this.#timers.add(timer);
  }

  #kill(id: number): boolean {
    for (const hand of this.#hands.values()) {
      if (hand.id !== id || hand.ended !== null) continue;
      if (hand.threadOrProcess instanceof Worker) hand.error = new Error('terminated');
      end(hand, 'SIGKILL');
      return true;
    }
    return false;
  }

  // -------------------------------------------------------------------------------------------------------------- closing

  #close(): void {
    if (this.#isClosing) return;
    Atomics.store(this.#control, CLOSING, 1);
    Atomics.notify(this.#control, CLOSING);
    for (const timer of this.#timers) clearTimeout(timer);
    for (const memory of this.#queues) new ConnectionQueue(memory).close();
    for (const hand of this.#hands.values()) {
      if (hand.threadOrProcess instanceof Worker) wakeLoop(this.#scoreboard.row(hand.row).wakeupHandle);
      else end(hand, 'SIGTERM');
    }
    // What is blocked in recv does not look up.
    setTimeout(() => this.#endAll('thread'), THREADS_GRACE).unref();
    setTimeout(() => this.#endAll('process'), PROCESSES_GRACE).unref();
    this.#goOnClosing();
  }

  #endAll(kind: 'thread' | 'process'): void {
    for (const hand of this.#hands.values()) if (hand.request.kind === kind) end(hand, 'SIGKILL');
  }

  #goOnClosing(): void {
    // Of those whose parent has a word to say, it has none any more.
    for (const hand of this.#hands.values()) {
      if (hand.ended !== null) {
        this.#scoreboard.retire(hand.row);
        this.#hands.delete(hand.row);
      }
    }
    if (this.#hands.size > 0) return;
    for (const memory of this.#queues) {
      const queue = new ConnectionQueue(memory);
      for (let connection = queue.tryTake(); connection !== null; connection = queue.tryTake())
        closeQuietly(connection);
    }
    for (const socket of this.#lifeline ?? []) socket.close();
    const totals = this.#scoreboard.totals();
    this.#scoreboard[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    this.#say({ type: 'closed', totals });
    this.#port.close();
  }
}

/** Also for one that blocks. */
const speaker =
  ({ port, said }: Pick<SupervisorData, 'port' | 'said'>) =>
  (message: Said): void => {
    port.postMessage(message);
    Atomics.add(said, 0, 1);
    Atomics.notify(said, 0);
  };

function newHand(
  row: number,
  request: StartRequest,
  asker: Hand | null,
  threadOrProcess: Worker | ChildProcess,
  id: number,
): Hand {
  const startedAt = performance.now();
  return { row, request, asker, threadOrProcess, id, startedAt, error: null, ended: null, isReleased: false };
}

const infoOf = ({ id, request: { kind, role } }: Hand): WorkerInfo => ({ id, kind, role });

/** The one that asked has had its answer. */
function withoutAnswer(request: StartRequest): StartRequest {
  const { answered, ...rest } = request;
  return answered === undefined ? request : rest;
}

function end({ threadOrProcess }: Hand, signal: NodeJS.Signals = 'SIGTERM'): void {
  if (threadOrProcess instanceof Worker) void threadOrProcess.terminate();
  else threadOrProcess.kill(signal);
}

/** Windows: a socket for a process is made for its number, and so when it is there. */
function share({ stdin }: ChildProcess, pid: number, fds: readonly number[]): void {
  for (const fd of fds) {
    const socket = Socket.fromFd(fd);
    const bytes = socket.share(pid);
    socket.detach(); // it is still who asked's own
    stdin?.write(Buffer.of(bytes.length >> 8, bytes.length & 0xff));
    stdin?.write(bytes);
  }
  stdin?.on('error', () => undefined); // it has died; its exit is told
  stdin?.end();
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeQuietly(Socket.fromFd(fd));
}

function wakeLoop(handle: number): void {
  try {
    if (handle !== 0) wakeup(handle);
  } catch {
    // It has ended its wait by itself, and more than that.
  }
}

function plainError(error: Error): PlainError {
  const { message, code, errno, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  return JSON.parse(JSON.stringify({ message, code, errno, syscall, address, port })) as PlainError;
}

function start(data: SupervisorData): void {
  try {
    new Supervisor(data);
  } catch (error) {
    // No memory, no temporary folder.
    speaker(data)({ type: 'failed', error: plainError(error as Error) });
    data.port.close();
  }
}

if (parentPort !== null) start(workerData as SupervisorData);
