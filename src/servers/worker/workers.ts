/**
 * How a program starts threads and processes: it posts a StartRequest to the supervisor (supervision/supervisor.ts), which starts them and
 * watches them exit. The program blocks and would see no child exit. If it needs the result, it sleeps until the supervisor has replied.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Socket } from '../../index.js';
import { resetStream } from '../../net/reset-stream.js';
import type { ConnectionQueue } from './connection-queue.js';
import type { CriticalSection } from './critical-section.js';
import type { StartReply, WorkerNotice, ReleaseRequest, StartRequest, TaskPort } from '../protocol/messages.js';
import { type Row, SERVING, STARTING, type Scoreboard } from '../protocol/scoreboard.js';

/** A child process. */
export interface WorkerProcess {
  readonly pid: number;
  readonly rowIndex: number;
  /** Its row of the scoreboard. */
  readonly row: Row;
  /** To be called after it has exited, if startPooledProcess() has started it: its row may be used again. */
  release(): void;
}

export class Workers {
  readonly #supervisor: MessagePort;
  readonly #scoreboard: Scoreboard;
  readonly #section: CriticalSection;
  readonly #workers: number;
  readonly #pause: (ms: number) => void;
  readonly #replyCount = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #notices: WorkerNotice[] = [];

  /**
   * @param supervisor the port to the supervisor
   * @param workers how many startThreads() and startProcesses() start
   * @param pause BLOCKS for `ms` milliseconds; throws when the server is being closed
   */
  constructor(
    supervisor: MessagePort,
    scoreboard: Scoreboard,
    section: CriticalSection,
    workers: number,
    pause: (ms: number) => void,
  ) {
    this.#section = section;
    this.#supervisor = supervisor;
    this.#scoreboard = scoreboard;
    this.#workers = workers;
    this.#pause = pause;
  }

  /**
   * Starts a thread for one connection, which moves to it: `server.inherited` there.
   * @throws as Socket.detach(); the connection is then open, or reset
   */
  startThread(connection: Socket): void {
    this.#section.run(() => {
      const fd = connection.detach(); // before the message: the supervisor may close it at once
      try {
        this.#request({ kind: 'thread', role: 'work', fds: [fd], connections: 1, replace: false });
      } catch (error) {
        resetStream(fd);
        throw error;
      }
    });
  }

  /**
   * Starts `workers` threads. One that exits is replaced. BLOCKS until all serve.
   * @param queueOf the queue of each: `server.queue` there. Default: they have none
   */
  startThreads(queueOf?: (index: number) => ConnectionQueue): void {
    const rows = Array.from({ length: this.#workers }, (_, index) => {
      const queue = queueOf === undefined ? {} : { queue: queueOf(index).memory };
      return this.#requestAndWait({ kind: 'thread', role: 'work', fds: [], connections: 0, ...queue, replace: true })
        .row;
    });
    for (const row of rows) if (row >= 0) this.#waitUntilServing(row);
  }

  /** Starts a thread of a task pool. @param token see notices() */
  startPoolThread(taskPort: TaskPort, token: number): void {
    this.#request({ kind: 'thread', role: 'task', fds: [], connections: 0, taskPort, token, replace: false }, [
      taskPort.port,
    ]);
  }

  /** Starts a thread that works on one task. @param token see notices() */
  startTaskThread(task: Uint8Array, token: number): void {
    this.#request({ kind: 'thread', role: 'task', fds: [], connections: 0, task, token, replace: false });
  }

  /**
   * Starts a process that inherits a connection: `server.inherited` there. The caller closes its own copy. BLOCKS.
   * @returns null: the system has no resources for another process, which the supervisor reports
   */
  startProcess(connection: Socket): WorkerProcess | null {
    return this.#startProcess(connection, { connections: 1, replace: false });
  }

  /**
   * Starts a process at the other end of a channel: `server.inherited` there. The end of the channel shows that it has exited; the caller then
   * calls release(). BLOCKS.
   * @returns null: as startProcess()
   */
  startPooledProcess(channel: Socket): WorkerProcess | null {
    return this.#startProcess(channel, { connections: 0, replace: false, requesterReleasesRow: true });
  }

  /**
   * Starts `workers` processes, each of which inherits its listener: `server.inherited` there. One that exits is replaced. BLOCKS until all
   * serve.
   */
  startProcesses(listenerOf: (index: number) => Socket): void {
    const started = Array.from({ length: this.#workers }, (_, index) =>
      this.#startProcess(listenerOf(index), { connections: 0, replace: true }),
    );
    for (const worker of started) if (worker !== null) this.#waitUntilServing(worker.rowIndex);
  }

  /** The notices since the last call about threads that were started with a token: replies to tasks, exits. */
  notices(): readonly WorkerNotice[] {
    this.#receiveAll();
    const notices = this.#notices;
    this.#notices = [];
    return notices;
  }

  #startProcess(
    socket: Socket,
    options: Pick<StartRequest, 'connections' | 'replace' | 'requesterReleasesRow'>,
  ): WorkerProcess | null {
    const { row, pid } = this.#requestAndWait({ kind: 'process', role: 'work', fds: [socket.fd], ...options });
    if (row < 0) return null;
    const worker: WorkerProcess = {
      pid,
      rowIndex: row,
      row: this.#scoreboard.row(row),
      release: () => this.#supervisor.postMessage({ type: 'release', row } satisfies ReleaseRequest),
    };
    // POSIX: the process has inherited the descriptor by now. Windows: the socket must stay open until the process has made its own.
    if (process.platform === 'win32') while (worker.row.state === STARTING) this.#pause(2);
    return worker;
  }

  /** A worker that exits before it serves is replaced in the same row; if all fail, the supervisor ends the server, and #pause throws. */
  #waitUntilServing(row: number): void {
    while (this.#scoreboard.row(row).state !== SERVING) this.#pause(2);
  }

  #request(request: Omit<StartRequest, 'type'>, transfer: readonly MessagePort[] = []): void {
    this.#supervisor.postMessage({ ...request, type: 'start' } satisfies StartRequest, transfer);
  }

  #requestAndWait(request: Omit<StartRequest, 'type'>): StartReply {
    const seen = Atomics.load(this.#replyCount, 0);
    this.#request({ ...request, replyCount: this.#replyCount });
    Atomics.wait(this.#replyCount, 0, seen);
    const [reply] = this.#receiveAll();
    return reply ?? { type: 'started', row: -1, pid: 0 };
  }

  /** @returns the replies; notices are kept for notices() */
  #receiveAll(): StartReply[] {
    const replies: StartReply[] = [];
    for (;;) {
      const received = receiveMessageOnPort(this.#supervisor) as
        { readonly message: StartReply | WorkerNotice } | undefined;
      if (received === undefined) return replies;
      const { message } = received;
      if (message.type === 'started') replies.push(message);
      else this.#notices.push(message);
    }
  }
}
