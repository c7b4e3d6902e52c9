/**
 * The thread that starts a server's threads and processes, sees them end, and starts others in their place. It never blocks.
 *
 *   server   starting --the first program listens--> serving --close(), or the first program ends--> closing
 *            closing --all threads and processes have ended--> closed
 *   worker   starting --it has what it was handed--> serving --it ends--> ended
 *            ended --who writes to its row has let go of it (keepsRow), and the row is added up--> forgotten
 *            forgotten --in time, where it is one of a fixed number--> another is starting, in the same row
 *
 * Workers that end as soon as they have started, one after the other, would go on so for ever (no memory for their rings, say): each is
 * started later than the one before, and after some rounds the server ends, with their reason.
 */
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Socket } from '../../index.js';
import { resetStream } from '../../net/reset-stream.js';
import { closeQuietly } from '../worker/blocking.js';
import { ConnectionQueue } from '../worker/connection-queue.js';
import { type FromThread, type RunningWorker, RunningProcess, RunningThread, openFile } from './running-workers.js';
import {
  type Asked,
  type Said,
  type Notice,
  type StartRequest,
  type WorkerStats,
  plainError,
} from '../protocol/messages.js';
import type { ServerModelName, ServerSettings } from '../protocol/settings.js';
import { models } from '../models/index.js';
import { ENDED, SERVING, STARTING, Scoreboard, keepMapped } from '../protocol/scoreboard.js';
import { CLOSING } from '../worker/server.js';
import { HAS_STARTED, NEWS, type SupervisorData } from './supervisor-data.js';
import { wakeLoop } from '../worker/wake-loop.js';

/** Threads have so long to end by themselves when the server is closed, in milliseconds; processes, before they are killed. */
const THREADS_GRACE = 250;
const PROCESSES_GRACE = 2000;
/**
 * A worker has failed that dies before it is ready, or is ready and dies within this time of its start without having served. Its
 * successor waits, each time twice as long.
 */
const TOO_SOON = 1000;
const FIRST_WAIT = 50;
const MAX_WAIT = 2000;
/** More failures in a row end the server: after 3 s while it starts, after 7 s once it serves. */
const MAX_FAILURES_STARTING = 6;
const MAX_FAILURES_SERVING = 8;
/** Ctrl-C goes to the processes of a terminal all at once: who dies of it is missed only if the server still lives then. */
const AFTER_CTRL_C = 1000;
/** Rows for those beyond what a server is asked for: the first program, pools of tasks, successors. */
const SPARE_ROWS = 100;

/** The failures in a row of workers that fill the same place: see #placeOf. */
interface Place {
  failures: number;
  /** When the last one was counted, as performance.now(). Workers that ran side by side fail together, and count once. */
  failedAt: number;
  /** None is started before. */
  retryAt: number;
}

class Supervisor {
  readonly #model: ServerModelName;
  readonly #settings: ServerSettings;
  readonly #say: (said: Said) => void;
  readonly #port: MessagePort;
  readonly #control = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #scoreboard: Scoreboard;
  /** The scoreboard's file where it has no name any more, so that nothing is left of it however this process ends. */
  readonly #unnamed: number | null;
  readonly #freeRows: number[];
  /** Those that are to be started when a row is free. */
  readonly #waiting: (() => void)[] = [];
  /** Those that are to be started when the pause after a failure is over. */
  readonly #delayed = new Set<() => void>();
  readonly #running = new Map<number, RunningWorker>();
  readonly #queues = new Set<SharedArrayBuffer>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Processes have the other end: it says that this process has gone. */
  readonly #lifeline: [ours: Socket, theirs: Socket] | null;
  readonly #places = new Map<string, Place>();
  #isListening = false;

  constructor({ model, settings, folder, port, said }: SupervisorData) {
    this.#model = model;
    this.#settings = settings;
    this.#port = port;
    this.#say = speaker({ port, said });
    const { workers, startsForEach } = models[model];
    const each = startsForEach ? settings.maxConnections : 0;
    const path = join(folder, 'scoreboard');
    // Linux can open a file anew that is open already. Elsewhere that would be a duplicate, which has no lock of its own.
    this.#unnamed = process.platform === 'linux' ? openSync(path, 'wx', 0o600) : null;
    const size = SPARE_ROWS + each + 4 * (workers === null ? 0 : settings.workers);
    this.#scoreboard = keepMapped(new Scoreboard(this.#unnamed === null ? path : openFile(this.#unnamed), size));
    if (this.#unnamed !== null) rmSync(folder, { recursive: true });
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
          value: [...this.#running.values()]
            .filter(({ ended }) => ended === null)
            .map((worker) => this.#statsOf(worker)),
        });
      case 'kill':
        return this.#say({ type: 'reply', id: asked.id, value: this.#kill(asked.worker) });
      case 'close':
        return this.#close();
    }
  }

  #statsOf({ info, row: number }: RunningWorker): WorkerStats {
    const { accepted, opened, closed, wakeups, emptyWakeups } = this.#scoreboard.row(number);
    return { ...info, accepted, open: opened - closed, wakeups, emptyWakeups };
  }

  // ------------------------------------------------------------------------------------------------------------- starting

  /** @param kept the row of the one that is replaced */
  #start(request: StartRequest, asker: RunningWorker | null, kept?: number): void {
    if (this.#isClosing || (asker !== null && asker.ended !== null)) return this.#refuse(request, asker);
    const pause = kept === undefined ? this.#pauseBefore(request, asker) : 0;
    // A pool of processes asks again: it serves with the others meanwhile.
    if (pause > 0 && request.keepsRow === true) return this.#refuse(request, asker);
    if (pause > 0) return this.#startLater(pause, () => this.#start(request, asker));
    const row = kept ?? this.#freeRows.pop();
    if (row === undefined) return void this.#waiting.push(() => this.#start(request, asker));
    this.#scoreboard.clear(row).handed = request.handed;
    try {
      const worker = this.#newWorker(row, request, asker);
      if (worker.id >= 0) {
        this.#running.set(row, worker);
        return this.#answer(request, asker, row, worker.id);
      }
    } catch (error) {
      this.#onNotStarted(request, asker, error as Error, row);
    }
    if (!request.replace) this.#freeRows.push(row);
    this.#refuse(request, asker);
  }

  #startLater(ms: number, start: () => void): void {
    this.#delayed.add(start);
    this.#later(ms, () => {
      this.#delayed.delete(start);
      start();
    });
  }

  #newWorker(row: number, request: StartRequest, asker: RunningWorker | null): RunningWorker {
    const { path, size } = this.#scoreboard;
    const job = { model: this.#model, role: request.role, settings: this.#settings, scoreboard: { path, size }, row };
    const onExit = (worker: RunningWorker): void => this.#onExit(worker);
    if (request.kind === 'thread') {
      if (request.queue !== undefined) this.#queues.add(request.queue);
      const onMessage = (message: FromThread, from: RunningWorker): void => this.#onMessage(message, from);
      return new RunningThread(row, request, asker, {
        job,
        control: this.#control,
        onMessage,
        onExit,
      });
    }
    const lifeline = this.#lifeline === null ? [] : [this.#lifeline[1].fd];
    return new RunningProcess(row, request, asker, {
      ...{ job, onExit },
      fds: [...request.fds, ...lifeline],
      file: this.#unnamed,
      onNotStarted: (error) => this.#onNotStarted(request, asker, error, row),
    });
  }

  /** What a thread was to take over belongs to nobody now. */
  #refuse(request: StartRequest, asker: RunningWorker | null): void {
    const { kind, fds, handed, token } = request;
    if (kind === 'thread') {
      closeAll(fds);
      const ended = this.#scoreboard.row(0);
      ended.closed += handed;
      if (!this.#isClosing) ended.lost += handed;
    }
    this.#answer(request, asker, -1, 0);
    if (token !== undefined) this.#later(FIRST_WAIT, () => this.#tell(asker, { type: 'ended', token }));
  }

  #tell(asker: RunningWorker | null, notice: Notice): void {
    if (asker?.ended !== null) return;
    asker.tell(notice);
    wakeLoop(this.#scoreboard.row(asker.row).wakeupHandle);
  }

  /** It sleeps until it knows. */
  #answer({ answered }: StartRequest, asker: RunningWorker | null, row: number, pid: number): void {
    if (answered === undefined) return;
    asker?.tell({ type: 'started', row, pid });
    Atomics.add(answered, 0, 1);
    Atomics.notify(answered, 0);
  }

  #onNotStarted(request: StartRequest, asker: RunningWorker | null, error: Error, row: number): void {
    if (this.#isClosing) return;
    const { kind, role, replace } = request;
    const why = `not started: ${error.message}`;
    this.#say({ type: 'exit', exit: { id: -1, kind, role, why, lost: 0, isReplaced: replace } });
    // One for a single connection or task costs that one alone.
    if (!replace && !isOfPool(request)) return;
    const { failures, retryAt } = this.#failed(placeOf(request, asker, row), performance.now());
    // The others serve on, if there are any: the system may have room for this one again.
    const isAlone = ![...this.#running.values()].some((one) => one.request.role === role && one.ended === null);
    if (failures > this.#maxFailures && (isAlone || !this.#isListening)) return this.#giveUp(error, why);
    if (replace) this.#later(retryAt - performance.now(), () => this.#start(withoutAnswer(request), asker, row));
  }

  #onMessage(message: FromThread, from: RunningWorker): void {
    switch (message.type) {
      case 'start':
        return this.#start(message, from);
      case 'listening':
        this.#isListening = true;
        return this.#say(message);
      case 'answered':
        if (from.request.token !== undefined) this.#tell(from.asker, { ...message, token: from.request.token });
        return;
      case 'release': {
        const worker = this.#running.get(message.row);
        if (worker === undefined) return;
        worker.isReleased = true;
        if (worker.ended !== null) this.#forget(worker);
      }
    }
  }

  // --------------------------------------------------------------------------------------------------------------- ending

  #onExit(worker: RunningWorker): void {
    const { request } = worker;
    // It had not taken yet what it was handed.
    const row = this.#scoreboard.row(worker.row);
    if (request.kind === 'thread' && row.state === STARTING) closeAll(request.fds);
    for (const other of this.#running.values())
      if (other.asker === worker && other.request.role === 'task') other.end('SIGKILL');
    if (request.keepsRow && !worker.isReleased && !this.#isClosing) {
      if (row.state === STARTING) row.state = ENDED; // its parent may wait until it has taken what it was handed
      return; // its parent has a word to say
    }
    this.#forget(worker);
  }

  /** It has ended, and its row is nobody's. */
  #forget(worker: RunningWorker): void {
    const { request, asker, row } = worker;
    const { opened, state } = this.#scoreboard.row(row);
    const lived = performance.now() - worker.startedAt;
    const hasServed = opened > 0 || (state === SERVING && lived >= TOO_SOON);
    const lost = this.#scoreboard.retire(row, request.role === 'work');
    this.#running.delete(row);
    if (!request.replace || this.#isClosing) this.#freeRows.push(row);
    if (this.#isClosing) return this.#goOnClosing(); // what close() ends is not lost
    if (!request.replace) this.#waiting.shift()?.();
    const place = this.#placeAfter(worker, hasServed);
    const wait = place === null ? 0 : place.retryAt - performance.now();
    const { token } = request;
    if (token !== undefined) this.#tell(asker, { type: 'ended', token });
    if (worker.ended === 'SIGINT') this.#later(AFTER_CTRL_C, () => this.#missed(worker, lost, wait));
    else this.#missed(worker, lost, wait);
    if (place !== null && place.failures > this.#maxFailures && request.role !== 'main')
      this.#giveUp(worker instanceof RunningThread ? worker.error : null, worker.ended ?? '');
  }

  /** The server goes on without it, or with another in its place. */
  #missed(worker: RunningWorker, lost: number, wait: number): void {
    const { request, asker, info, row } = worker;
    this.#scoreboard.row(0).lost += lost;
    if (request.role === 'main') return this.#onMainEnded(worker, lost);
    if (worker.ended === '' && !request.replace) return;
    if (request.role === 'task' && asker !== null && asker.ended !== null) return; // it has ended with its reactor
    const why = worker.ended === null || worker.ended === '' ? 'exit code 0' : worker.ended;
    const isReplaced = request.replace || request.keepsRow === true || request.role === 'task';
    this.#say({ type: 'exit', exit: { ...info, why, lost, isReplaced } });
    if (request.replace) this.#later(wait, () => this.#start(withoutAnswer(request), asker, row));
  }

  get #maxFailures(): number {
    return this.#isListening ? MAX_FAILURES_SERVING : MAX_FAILURES_STARTING;
  }

  /** @param startedAt when the worker was started that has failed */
  #failed(name: string, startedAt: number): Place {
    const place = this.#places.get(name) ?? { failures: 0, failedAt: 0, retryAt: 0 };
    this.#places.set(name, place);
    if (startedAt >= place.failedAt) {
      place.failures++;
      place.failedAt = performance.now();
      place.retryAt = place.failedAt + waitAfter(place.failures);
    }
    return place;
  }

  /** @returns the failures in its place, where it has failed as well; null: it has not */
  #placeAfter(worker: RunningWorker, hasServed: boolean): Place | null {
    const { asker, request, row } = worker;
    const name = placeOf(request, asker, row);
    // It has done what it was started for, or ends with the one that it works for.
    const isOver = (worker.ended === '' && !request.replace) || (asker !== null && asker.ended !== null);
    if (!isOver && !hasServed && !worker.wasKilled) return this.#failed(name, worker.startedAt);
    this.#places.delete(name);
    return null;
  }

  /** Milliseconds until one more may be started for this request. */
  #pauseBefore(request: StartRequest, asker: RunningWorker | null): number {
    if (request.replace) return 0; // the first one in its row
    const place = this.#places.get(placeOf(request, asker, 0));
    return place === undefined ? 0 : Math.max(0, place.retryAt - performance.now());
  }

  /** No worker lives for long. */
  #giveUp(error: Error | null, reason: string): void {
    if (this.#isClosing) return;
    const why = `its workers end as soon as they are started: ${reason}`;
    const main = [...this.#running.values()].find(({ request }) => request.role === 'main');
    if (this.#isListening) {
      const info = main?.info ?? { id: -1, kind: 'thread', role: 'main' };
      this.#say({ type: 'exit', exit: { ...info, why, lost: 0, isReplaced: false } });
    } else {
      this.#say({ type: 'failed', error: { ...(error === null ? {} : plainError(error)), message: why } });
    }
    this.#close();
  }

  /** There is no server any more. */
  #onMainEnded(worker: RunningWorker, lost: number): void {
    const why = worker.ended === '' || worker.ended === null ? 'the server has ended by itself' : worker.ended;
    if (this.#isListening) {
      this.#say({ type: 'exit', exit: { ...worker.info, why, lost, isReplaced: false } });
    } else {
      this.#say({
        type: 'failed',
        error: plainError((worker instanceof RunningThread ? worker.error : null) ?? new Error(why)),
      });
    }
    this.#close();
  }

  #later(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isClosing) action();
    }, ms);
    this.#timers.add(timer);
  }

  #kill(id: number): boolean {
    for (const worker of this.#running.values()) {
      if (worker.id !== id || worker.ended !== null) continue;
      worker.wasKilled = true;
      if (worker instanceof RunningThread) worker.error = new Error('terminated');
      worker.end('SIGKILL');
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
    for (const start of [...this.#waiting.splice(0), ...this.#delayed]) start(); // they are refused now
    this.#delayed.clear();
    for (const memory of this.#queues) new ConnectionQueue(memory, null).close();
    for (const worker of this.#running.values()) {
      if (worker instanceof RunningThread) wakeLoop(this.#scoreboard.row(worker.row).wakeupHandle);
      else worker.end('SIGTERM');
    }
    // What is blocked in recv does not look up.
    setTimeout(() => this.#endAll('thread'), THREADS_GRACE).unref();
    setTimeout(() => this.#endAll('process'), PROCESSES_GRACE).unref();
    this.#goOnClosing();
  }

  #endAll(kind: 'thread' | 'process'): void {
    for (const worker of this.#running.values()) if (worker.request.kind === kind) worker.end('SIGKILL');
  }

  #goOnClosing(): void {
    // Of those whose parent has a word to say, it has none any more.
    for (const worker of this.#running.values()) {
      if (worker.ended !== null) {
        this.#scoreboard.retire(worker.row, worker.request.role === 'work');
        this.#running.delete(worker.row);
      }
    }
    if (this.#running.size > 0) return;
    const ended = this.#scoreboard.row(0);
    for (const memory of this.#queues) {
      const queue = new ConnectionQueue(memory, null);
      for (let connection = queue.tryTake(); connection !== null; connection = queue.tryTake()) {
        closeQuietly(connection);
        ended.dequeued++;
        ended.closed++;
      }
    }
    for (const socket of this.#lifeline ?? []) socket.close();
    // Those that waited for a thread that was not started any more.
    ended.closed += this.#scoreboard.open;
    const totals = this.#scoreboard.totals();
    this.#scoreboard[Symbol.dispose]();
    if (this.#unnamed !== null) closeSync(this.#unnamed);
    this.#say({ type: 'closed', totals });
    this.#port.close();
  }
}

/** Also for one that blocks. */
const speaker =
  ({ port, said }: Pick<SupervisorData, 'port' | 'said'>) =>
  (message: Said): void => {
    port.postMessage(message);
    Atomics.add(said, NEWS, 1);
    Atomics.notify(said, NEWS);
  };

/** Milliseconds before the next one is started. @param failures 1 or more */
const waitAfter = (failures: number): number => Math.min(FIRST_WAIT * 2 ** (failures - 1), MAX_WAIT);

/** A thread or process of a pool that its program keeps full. */
const isOfPool = ({ keepsRow, taskPort }: StartRequest): boolean => keepsRow === true || taskPort !== undefined;

/** The place that a worker fills. Those that fill it one after the other are counted together. */
function placeOf({ replace, role }: StartRequest, asker: RunningWorker | null, row: number): string {
  // Those of a pool have no place of their own, nor have those for one connection or one task.
  return replace ? `row ${row}` : `${role} of row ${asker?.row ?? 0}`;
}

/** The one that asked has had its answer. */
function withoutAnswer(request: StartRequest): StartRequest {
  const { answered, ...rest } = request;
  return answered === undefined ? request : rest;
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) resetStream(fd);
}

function start(data: SupervisorData): void {
  Atomics.store(data.said, HAS_STARTED, 1);
  try {
    new Supervisor(data);
  } catch (error) {
    // No memory, no descriptors.
    speaker(data)({ type: 'failed', error: plainError(error as Error) });
    data.port.close();
  }
}

if (parentPort !== null) start(workerData as SupervisorData);
