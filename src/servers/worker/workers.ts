/**
 * How a program has threads and processes started. The program blocks, and who blocks does not see a child end: so it asks the supervisor
 * by message, and where it wants to know what became of it, sleeps until that has answered.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Socket } from '../../index.js';
import { resetStream } from '../../net/reset-stream.js';
import type { ConnectionQueue } from './connection-queue.js';
import type { CriticalSection } from './critical-section.js';
import type { Answer, Notice, ReleaseRequest, StartRequest, TaskPort } from '../protocol/messages.js';
import { type Row, SERVING, STARTING, type Scoreboard } from '../protocol/scoreboard.js';

/** A child process. */
export interface WorkerProcess {
  readonly pid: number;
  /** Of its row. */
  readonly number: number;
  readonly row: Row;
  /** Its row may become another's. */
  release(): void;
}

export class Workers {
  readonly #supervisor: MessagePort;
  readonly #scoreboard: Scoreboard;
  readonly #section: CriticalSection;
  readonly #number: number;
  readonly #pause: (ms: number) => void;
  readonly #answered = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #notices: Notice[] = [];

  /** @param number how many those are that are started together */
  constructor(
    supervisor: MessagePort,
    scoreboard: Scoreboard,
    section: CriticalSection,
    number: number,
    pause: (ms: number) => void,
  ) {
    this.#section = section;
    this.#supervisor = supervisor;
    this.#scoreboard = scoreboard;
    this.#number = number;
    this.#pause = pause;
  }

  /** A thread for one connection, which changes hands: `server.inherited` there. @throws as Socket.detach(); the connection is then open, or reset */
  startThread(connection: Socket): void {
    this.#section.run(() => {
      const fd = connection.detach(); // before the message: the supervisor may close it at once
      try {
        this.#ask({ kind: 'thread', role: 'work', fds: [fd], handed: 1, replace: false });
      } catch (error) {
        resetStream(fd);
        throw error;
      }
    });
  }

  /** As many threads as the server has workers, each with the queue that `queueOf` gives it. One that dies is replaced. BLOCKS until all serve. */
  startThreads(queueOf: (index: number) => ConnectionQueue): void {
    const rows = Array.from({ length: this.#number }, (_, index) => {
      const queue = queueOf(index).memory;
      return this.#askAndWait({ kind: 'thread', role: 'work', fds: [], handed: 0, queue, replace: true }).row;
    });
    for (const row of rows) if (row >= 0) this.#untilItHasStarted(row);
  }

  /** A thread of a pool. @param token the notice of its end will carry it */
  startPoolThread(taskPort: TaskPort, token: number): void {
    this.#ask({ kind: 'thread', role: 'task', fds: [], handed: 0, taskPort, token, replace: false }, [taskPort.port]);
  }

  /** A thread that does one task. @param token the notices of its answer and its end will carry it */
  startTaskThread(task: Uint8Array, token: number): void {
    this.#ask({ kind: 'thread', role: 'task', fds: [], handed: 0, task, token, replace: false });
  }

  /**
   * A process for one connection, which it has inherited when this returns: `server.inherited` there. Here it is still open as well. BLOCKS.
   * @returns null: the system has no room for another process. The supervisor has told of it
   */
  startProcess(connection: Socket): WorkerProcess | null {
    return this.#startProcess(connection, { handed: 1, replace: false });
  }

  /** A process at the other end of a channel. Who asks sees by the channel that it has died, and calls release(). BLOCKS. */
  startPooledProcess(channel: Socket): WorkerProcess | null {
    return this.#startProcess(channel, { handed: 0, replace: false, keepsRow: true });
  }

  /**
   * As many processes as the server has workers, each of which inherits the listener that `listenerOf` gives it. One that dies is replaced.
   * BLOCKS until all serve.
   */
  startProcesses(listenerOf: (index: number) => Socket): void {
    const started = Array.from({ length: this.#number }, (_, index) =>
      this.#startProcess(listenerOf(index), { handed: 0, replace: true }),
    );
    for (const worker of started) if (worker !== null) this.#untilItHasStarted(worker.number);
  }

  /** What was told, since this was asked last, of those that were started with a token. */
  notices(): readonly Notice[] {
    this.#receiveAll();
    const notices = this.#notices;
    this.#notices = [];
    return notices;
  }

  #startProcess(socket: Socket, options: Pick<StartRequest, 'handed' | 'replace' | 'keepsRow'>): WorkerProcess | null {
    const { row, pid } = this.#askAndWait({ kind: 'process', role: 'work', fds: [socket.fd], ...options });
    if (row < 0) return null;
    const worker: WorkerProcess = {
      pid,
      number: row,
      row: this.#scoreboard.row(row),
      release: () => this.#supervisor.postMessage({ type: 'release', row } satisfies ReleaseRequest),
    };
    // fork() has handed the descriptor over by now. Windows' WSADuplicateSocket is over when the other side has taken it.
    if (process.platform === 'win32') while (worker.row.state === STARTING) this.#pause(2);
    return worker;
  }

  /** One that dies before is replaced, in the same row; the supervisor ends the server when none ever lives. */
  #untilItHasStarted(row: number): void {
    while (this.#scoreboard.row(row).state !== SERVING) this.#pause(2);
  }

  #ask(request: Omit<StartRequest, 'type'>, transfer: readonly MessagePort[] = []): void {
    this.#supervisor.postMessage({ ...request, type: 'start' } satisfies StartRequest, transfer);
  }

  #askAndWait(request: Omit<StartRequest, 'type'>): Answer {
    const seen = Atomics.load(this.#answered, 0);
    this.#ask({ ...request, answered: this.#answered });
    Atomics.wait(this.#answered, 0, seen);
    const [answer] = this.#receiveAll();
    return answer ?? { type: 'started', row: -1, pid: 0 };
  }

  /** @returns the answers; the notices are kept */
  #receiveAll(): Answer[] {
    const answers: Answer[] = [];
    for (;;) {
      const received = receiveMessageOnPort(this.#supervisor) as { readonly message: Answer | Notice } | undefined;
      if (received === undefined) return answers;
      const { message } = received;
      if (message.type === 'started') answers.push(message);
      else this.#notices.push(message);
    }
  }
}
