/**
 * The thread that starts a server's threads and processes, watches them exit, and replaces them. It never blocks.
 *
 *   server   starting --the main program listens--> serving --close(), or the main program ends--> closing
 *            closing --all threads and processes have exited--> closed
 *   worker   starting --it owns its inherited sockets--> serving --> exited
 *            exited --its requester has released its row (requesterReleasesRow)--> removed; its counts go to row 0
 *            removed --after a pause if it failed (restart-policy.ts), if one of a fixed number--> another is starting, in the same row
 */
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Socket } from '../../index.js';
import { resetStream } from '../../net/reset-stream.js';
import { interruptUntilEnded } from '../../syscalls/slices.js';
import { closeQuietly } from '../worker/blocking.js';
import { ConnectionQueue } from '../worker/connection-queue.js';
import { type ThreadMessage, type RunningWorker, RunningProcess, RunningThread, openFile } from './running-workers.js';
import {
  type SupervisorRequest,
  type SupervisorEvent,
  type WorkerNotice,
  type StartRequest,
  type WorkerStats,
  plainError,
} from '../protocol/messages.js';
import type { ServerModelName, ServerSettings } from '../protocol/settings.js';
import { models } from '../models/index.js';
import { EXITED, SERVING, STARTING, Scoreboard, keepMapped } from '../protocol/scoreboard.js';
import {
  type Failures,
  MIN_LIFETIME_MS,
  MIN_RESTART_DELAY_MS,
  RestartPolicy,
  maxFailures,
  placeOf,
} from './restart-policy.js';
import { CLOSING } from '../worker/server.js';
import { HAS_STARTED, EVENT_COUNT, type SupervisorData } from './supervisor-data.js';
import { wakeLoop } from '../worker/wake-loop.js';

/** When the server is closed, a thread that has not exited by itself after this time is terminated. */
const THREAD_GRACE_MS = 250;
/** Likewise, a process is killed (SIGKILL); it gets SIGTERM at once. */
const PROCESS_GRACE_MS = 2000;
/**
 * A terminal sends Ctrl-C to all processes at once: the exit of one that dies of SIGINT is reported, and it is replaced, only if the server
 * still runs after this time.
 */
const CTRL_C_GRACE_MS = 1000;
/** Rows beyond the workers that are asked for: the main program, task pools, successors. */
const SPARE_ROWS = 100;

class Supervisor {
  readonly #model: ServerModelName;
  readonly #settings: ServerSettings;
  readonly #emit: (event: SupervisorEvent) => void;
  readonly #port: MessagePort;
  /** One cell, CLOSING, which all threads of the server read. */
  readonly #control = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #scoreboard: Scoreboard;
  /** Linux: the descriptor of the scoreboard's file, which is unlinked, so that no file is left behind however this process ends. */
  readonly #unlinkedFile: number | null;
  readonly #freeRows: number[];
  /** Starts that wait for a free row. */
  readonly #waitingForRow: (() => void)[] = [];
  /** Starts that wait for the pause after a failure. */
  readonly #delayed = new Set<() => void>();
  readonly #running = new Map<number, RunningWorker>();
  readonly #queues = new Set<SharedArrayBuffer>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** A socket pair: processes inherit one end, which becomes readable when this process exits. */
  readonly #lifeline: [ours: Socket, theirs: Socket] | null;
  readonly #restarts = new RestartPolicy();
  #isListening = false;

  constructor({ model, settings, folder, port, signals }: SupervisorData) {
    this.#model = model;
    this.#settings = settings;
    this.#port = port;
    this.#emit = emitter({ port, signals });
    const { workers, startsPerConnection } = models[model];
    const perConnection = startsPerConnection ? settings.maxConnections : 0;
    const path = join(folder, 'scoreboard');
    // Linux can open the file of a descriptor again (/proc/self/fd). Elsewhere that makes a duplicate, which has no lock of its own.
    this.#unlinkedFile = process.platform === 'linux' ? openSync(path, 'wx', 0o600) : null;
    const size = SPARE_ROWS + perConnection + 4 * (workers === null ? 0 : settings.workers);
    this.#scoreboard = keepMapped(
      new Scoreboard(this.#unlinkedFile === null ? path : openFile(this.#unlinkedFile), size),
    );
    if (this.#unlinkedFile !== null) rmSync(folder, { recursive: true });
    this.#freeRows = Array.from({ length: this.#scoreboard.size - 1 }, (_, index) => index + 1);
    this.#lifeline = workers === 'processes' ? Socket.pair() : null;
    port.on('message', (request: SupervisorRequest) => this.#onRequest(request));
    // If this thread fails, Node waits for the threads that it has started.
    process.on('exit', () => this.#interruptAll());
    this.#start({ type: 'start', kind: 'thread', role: 'main', fds: [], connections: 0, replace: false }, null);
  }

  get #isClosing(): boolean {
    return Atomics.load(this.#control, CLOSING) !== 0;
  }

  #onRequest(request: SupervisorRequest): void {
    switch (request.type) {
      case 'totals':
        return this.#emit({ type: 'reply', id: request.id, value: this.#scoreboard.totals() });
      case 'workers':
        return this.#emit({
          type: 'reply',
          id: request.id,
          value: [...this.#running.values()]
            .filter(({ hasExited }) => !hasExited)
            .map((worker) => this.#statsOf(worker)),
        });
      case 'kill':
        return this.#emit({ type: 'reply', id: request.id, value: this.#kill(request.worker) });
      case 'close':
        return this.#close();
    }
  }

  #statsOf({ info, row: number }: RunningWorker): WorkerStats {
    const { accepted, opened, closed, wakeups, emptyWakeups } = this.#scoreboard.row(number);
    return { ...info, accepted, open: opened - closed, wakeups, emptyWakeups };
  }

  // ------------------------------------------------------------------------------------------------------------- starting

  /** @param freedRow the row of the worker that this one replaces */
  #start(request: StartRequest, requester: RunningWorker | null, freedRow?: number): void {
    if (this.#isClosing || requester?.hasExited) return this.#refuseStart(request, requester);
    const pause = freedRow === undefined ? this.#pauseBefore(request, requester) : 0;
    // The program of a process pool asks again; its other processes serve meanwhile.
    if (pause > 0 && request.requesterReleasesRow === true) return this.#refuseStart(request, requester);
    if (pause > 0) return this.#startLater(pause, () => this.#start(request, requester));
    const row = freedRow ?? this.#freeRows.pop();
    if (row === undefined) return void this.#waitingForRow.push(() => this.#start(request, requester));
    this.#scoreboard.clear(row).assigned = request.connections;
    try {
      const worker = this.#newWorker(row, request, requester);
      if (worker.id >= 0) {
        this.#running.set(row, worker);
        return this.#replyToStart(request, requester, row, worker.id);
      }
    } catch (error) {
      this.#onNotStarted(request, requester, error as Error, row);
    }
    if (!request.replace) this.#freeRows.push(row);
    this.#refuseStart(request, requester);
  }

  #startLater(ms: number, start: () => void): void {
    this.#delayed.add(start);
    this.#after(ms, () => {
      this.#delayed.delete(start);
      start();
    });
  }

  #newWorker(row: number, request: StartRequest, requester: RunningWorker | null): RunningWorker {
    const { path, size } = this.#scoreboard;
    const job = { model: this.#model, role: request.role, settings: this.#settings, scoreboard: { path, size }, row };
    const onExit = (worker: RunningWorker): void => this.#onExit(worker);
    if (request.kind === 'thread') {
      if (request.queue !== undefined) this.#queues.add(request.queue);
      const onMessage = (message: ThreadMessage, from: RunningWorker): void => this.#onMessage(message, from);
      return new RunningThread(row, request, requester, {
        job,
        control: this.#control,
        wake: () => wakeLoop(this.#scoreboard.row(row).wakeupHandle),
        onMessage,
        onExit,
      });
    }
    const lifeline = this.#lifeline === null ? [] : [this.#lifeline[1].fd];
    return new RunningProcess(row, request, requester, {
      ...{ job, onExit },
      fds: [...request.fds, ...lifeline],
      file: this.#unlinkedFile,
      onNotStarted: (error) => this.#onNotStarted(request, requester, error, row),
    });
  }

  /** Closes the sockets that a thread was to inherit, and replies that nothing was started. */
  #refuseStart(request: StartRequest, requester: RunningWorker | null): void {
    const { kind, fds, connections, token } = request;
    if (kind === 'thread') {
      closeAll(fds);
      const sums = this.#scoreboard.row(0);
      sums.closed += connections;
      if (!this.#isClosing) sums.lost += connections;
    }
    this.#replyToStart(request, requester, -1, 0);
    if (token !== undefined)
      this.#after(MIN_RESTART_DELAY_MS, () => this.#notify(requester, { type: 'exited', token }));
  }

  #notify(requester: RunningWorker | null, notice: WorkerNotice): void {
    if (requester === null || requester.hasExited) return;
    requester.post(notice);
    wakeLoop(this.#scoreboard.row(requester.row).wakeupHandle);
  }

  /** Replies to a requester that sleeps until then. */
  #replyToStart({ replyCount }: StartRequest, requester: RunningWorker | null, row: number, pid: number): void {
    if (replyCount === undefined) return;
    requester?.post({ type: 'started', row, pid });
    Atomics.add(replyCount, 0, 1);
    Atomics.notify(replyCount, 0);
  }

  #onNotStarted(request: StartRequest, requester: RunningWorker | null, error: Error, row: number): void {
    if (this.#isClosing) return;
    const { kind, role, replace } = request;
    const why = `not started: ${error.message}`;
    this.#emit({ type: 'exit', exit: { id: -1, kind, role, why, lost: 0, isReplaced: replace } });
    // A worker for one connection or task costs only that one.
    if (!replace && !isOfPool(request)) return;
    const { count, retryAt } = this.#restarts.onFailure(placeOf(request, requester?.row ?? 0, row), performance.now());
    // Other workers, if any, go on serving: the system may have resources for this one later.
    const isAlone = ![...this.#running.values()].some((one) => one.request.role === role && !one.hasExited);
    if (count > maxFailures(this.#isListening) && (isAlone || !this.#isListening)) return this.#giveUp(error, why);
    if (replace) this.#after(retryAt - performance.now(), () => this.#start(withoutReply(request), requester, row));
  }

  #onMessage(message: ThreadMessage, from: RunningWorker): void {
    switch (message.type) {
      case 'start':
        return this.#start(message, from);
      case 'listening':
        this.#isListening = true;
        return this.#emit(message);
      case 'taskReply':
        if (from.request.token !== undefined) this.#notify(from.requester, { ...message, token: from.request.token });
        return;
      case 'release': {
        const worker = this.#running.get(message.row);
        if (worker === undefined) return;
        worker.isReleased = true;
        if (worker.hasExited) this.#remove(worker);
      }
    }
  }

  // --------------------------------------------------------------------------------------------------------------- ending

  #onExit(worker: RunningWorker): void {
    const { request } = worker;
    const row = this.#scoreboard.row(worker.row);
    if (request.kind === 'thread' && row.state === STARTING) closeAll(request.fds); // it has not taken them over
    for (const other of this.#running.values())
      if (other.requester === worker && other.request.role === 'task') other.terminate('SIGKILL');
    if (request.requesterReleasesRow && !worker.isReleased && !this.#isClosing) {
      if (row.state === STARTING) row.state = EXITED; // its requester may wait until it owns its inherited sockets
      return; // until its requester releases the row
    }
    this.#remove(worker);
  }

  /** Removes a worker that has exited and whose row is released; replaces it if it is one of a fixed number. */
  #remove(worker: RunningWorker): void {
    const { request, requester, row } = worker;
    const { opened, state } = this.#scoreboard.row(row);
    const lived = performance.now() - worker.startedAt;
    const hasServed = opened > 0 || (state === SERVING && lived >= MIN_LIFETIME_MS);
    const lost = this.#scoreboard.retire(row, request.role === 'work');
    this.#running.delete(row);
    if (!request.replace || this.#isClosing) this.#freeRows.push(row);
    if (this.#isClosing) return this.#finishClosing(); // connections that close() ends do not count as lost
    if (!request.replace) this.#waitingForRow.shift()?.();
    const failures = this.#failuresAfter(worker, hasServed);
    const pause = failures === null ? 0 : failures.retryAt - performance.now();
    const { token } = request;
    if (token !== undefined) this.#notify(requester, { type: 'exited', token });
    if (worker.exitReason === 'SIGINT') this.#after(CTRL_C_GRACE_MS, () => this.#replace(worker, lost, pause));
    else this.#replace(worker, lost, pause);
    if (failures !== null && failures.count > maxFailures(this.#isListening) && request.role !== 'main')
      this.#giveUp(worker instanceof RunningThread ? worker.error : null, worker.exitReason ?? '');
  }

  /** Reports an exit, and starts another worker in its place if it is one of a fixed number. */
  #replace(worker: RunningWorker, lost: number, pause: number): void {
    const { request, requester, info, row, exitReason } = worker;
    this.#scoreboard.row(0).lost += lost;
    if (request.role === 'main') return this.#onMainEnded(worker, lost);
    if (exitReason === '' && !request.replace) return;
    if (request.role === 'task' && requester?.hasExited) return; // it was terminated with its reactor
    const why = exitReason === null || exitReason === '' ? 'exit code 0' : exitReason;
    const isReplaced = request.replace || request.requesterReleasesRow === true || request.role === 'task';
    this.#emit({ type: 'exit', exit: { ...info, why, lost, isReplaced } });
    if (request.replace) this.#after(pause, () => this.#start(withoutReply(request), requester, row));
  }

  /** @returns the failures in its place if it has failed; null: it has not */
  #failuresAfter(worker: RunningWorker, hasServed: boolean): Failures | null {
    const { requester, request, row } = worker;
    const place = placeOf(request, requester?.row ?? 0, row);
    // It has done what it was started for, or ends with its requester.
    const isDone = (worker.exitReason === '' && !request.replace) || requester?.hasExited === true;
    if (!isDone && !hasServed && !worker.wasKilled) return this.#restarts.onFailure(place, worker.startedAt);
    this.#restarts.onSuccess(place);
    return null;
  }

  /** Milliseconds until a worker may be started for this request. */
  #pauseBefore(request: StartRequest, requester: RunningWorker | null): number {
    if (request.replace) return 0; // the first one in its row
    return this.#restarts.delayBefore(placeOf(request, requester?.row ?? 0, 0));
  }

  /** Ends the server: its workers fail one after the other. */
  #giveUp(error: Error | null, reason: string): void {
    if (this.#isClosing) return;
    const why = `its workers end as soon as they are started: ${reason}`;
    const main = [...this.#running.values()].find(({ request }) => request.role === 'main');
    if (this.#isListening) {
      const info = main?.info ?? { id: -1, kind: 'thread', role: 'main' };
      this.#emit({ type: 'exit', exit: { ...info, why, lost: 0, isReplaced: false } });
    } else {
      this.#emit({ type: 'failed', error: { ...(error === null ? {} : plainError(error)), message: why } });
    }
    this.#close();
  }

  /** Ends the server: its first thread has exited. */
  #onMainEnded(worker: RunningWorker, lost: number): void {
    const { exitReason } = worker;
    const why = exitReason === '' || exitReason === null ? 'the server has ended by itself' : exitReason;
    if (this.#isListening) {
      this.#emit({ type: 'exit', exit: { ...worker.info, why, lost, isReplaced: false } });
    } else {
      this.#emit({
        type: 'failed',
        error: plainError((worker instanceof RunningThread ? worker.error : null) ?? new Error(why)),
      });
    }
    this.#close();
  }

  /** Not called once the server is closing. */
  #after(ms: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isClosing) action();
    }, ms);
    this.#timers.add(timer);
  }

  #kill(id: number): boolean {
    for (const worker of this.#running.values()) {
      if (worker.id !== id || worker.hasExited) continue;
      worker.wasKilled = true;
      if (worker instanceof RunningThread) worker.error = new Error('terminated');
      worker.terminate('SIGKILL');
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
    for (const start of [...this.#waitingForRow.splice(0), ...this.#delayed]) start(); // refused, since the server is closing
    this.#delayed.clear();
    for (const memory of this.#queues) new ConnectionQueue(memory, null).close();
    for (const worker of this.#running.values()) {
      if (worker instanceof RunningThread) worker.wakeUntilExit();
      else worker.terminate('SIGTERM');
    }
    // A thread that computes does not see CLOSING, nor does one that is blocked where waits are sliced.
    setTimeout(() => this.#terminateAll('thread'), THREAD_GRACE_MS).unref();
    setTimeout(() => this.#terminateAll('process'), PROCESS_GRACE_MS).unref();
    this.#finishClosing();
  }

  #interruptAll(): void {
    const threads = [...this.#running.values()].filter((worker) => worker instanceof RunningThread);
    interruptUntilEnded(threads.map(({ row }) => this.#scoreboard.row(row).wakeupHandle));
  }

  #terminateAll(kind: 'thread' | 'process'): void {
    for (const worker of this.#running.values()) if (worker.request.kind === kind) worker.terminate('SIGKILL');
  }

  #finishClosing(): void {
    // The rows of exited workers are retired even if they are not released.
    for (const worker of this.#running.values()) {
      if (worker.hasExited) {
        this.#scoreboard.retire(worker.row, worker.request.role === 'work');
        this.#running.delete(worker.row);
      }
    }
    if (this.#running.size > 0) return;
    const sums = this.#scoreboard.row(0);
    for (const memory of this.#queues) {
      const queue = new ConnectionQueue(memory, null);
      for (let connection = queue.tryTake(); connection !== null; connection = queue.tryTake()) {
        closeQuietly(connection);
        sums.dequeued++;
        sums.closed++;
      }
    }
    for (const socket of this.#lifeline ?? []) socket.close();
    // Connections whose thread was not started.
    sums.closed += this.#scoreboard.open;
    const totals = this.#scoreboard.totals();
    this.#scoreboard[Symbol.dispose]();
    if (this.#unlinkedFile !== null) closeSync(this.#unlinkedFile);
    this.#emit({ type: 'closed', totals });
    this.#port.close();
  }
}

/** Sends events to the server's owner, and wakes an owner that blocks. */
const emitter =
  ({ port, signals }: Pick<SupervisorData, 'port' | 'signals'>) =>
  (event: SupervisorEvent): void => {
    port.postMessage(event);
    Atomics.add(signals, EVENT_COUNT, 1);
    Atomics.notify(signals, EVENT_COUNT);
  };

/** A thread or process of a pool that its program, not the supervisor, keeps full. */
const isOfPool = ({ requesterReleasesRow, taskPort }: StartRequest): boolean =>
  requesterReleasesRow === true || taskPort !== undefined;

/** For a successor: the requester has got its reply. */
function withoutReply(request: StartRequest): StartRequest {
  const { replyCount, ...rest } = request;
  return replyCount === undefined ? request : rest;
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) resetStream(fd);
}

function start(data: SupervisorData): void {
  Atomics.store(data.signals, HAS_STARTED, 1);
  try {
    new Supervisor(data);
  } catch (error) {
    // No memory, no descriptors.
    emitter(data)({ type: 'failed', error: plainError(error as Error) });
    data.port.close();
  }
}

if (parentPort !== null) start(workerData as SupervisorData);
