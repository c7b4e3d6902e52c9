/** A thread or a process that works for a server, as its supervisor sees it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Socket } from '../../index.js';
import { endOutside, newCriticalSection } from '../worker/critical-section.js';
import type {
  Answer,
  Answered,
  Listening,
  Notice,
  ReleaseRequest,
  StartRequest,
  WorkerInfo,
} from '../protocol/messages.js';
import { FIRST_INHERITED, type ProcessJob } from './process-job.js';
import type { Job } from './program.js';
import type { ThreadData } from './thread.js';

export type FromThread = StartRequest | ReleaseRequest | Listening | Answered;

export abstract class RunningWorker {
  readonly startedAt = performance.now();
  /** Why it has ended; '': of its own will. null: it has not. */
  ended: string | null = null;
  /** By killWorker(). */
  wasKilled = false;
  /** Who asked for it keeps its row no longer. */
  isReleased = false;
  /** A process's number, or a thread's. */
  abstract readonly id: number;

  constructor(
    readonly row: number,
    readonly request: StartRequest,
    /** Who asked for it. */
    readonly asker: RunningWorker | null,
  ) {}

  get info(): WorkerInfo {
    const { kind, role } = this.request;
    return { id: this.id, kind, role };
  }

  /** Has it end; a process by this signal. */
  abstract end(signal: NodeJS.Signals): void;
  abstract tell(message: Answer | Notice): void;
}

export class RunningThread extends RunningWorker {
  readonly id: number;
  /** What it threw. */
  error: Error | null = null;
  readonly #thread: Worker;
  readonly #section = newCriticalSection();
  #isEnding = false;

  constructor(
    row: number,
    request: StartRequest,
    asker: RunningWorker | null,
    start: {
      readonly job: Job;
      readonly control: Int32Array;
      onMessage(message: FromThread, from: RunningWorker): void;
      onExit(worker: RunningWorker): void;
    },
  ) {
    super(row, request, asker);
    const { fds, queue, task, taskPort } = request;
    const workerData: ThreadData = {
      ...start.job,
      fds,
      control: start.control,
      section: this.#section,
      ...(queue === undefined ? {} : { queue }),
      ...(task === undefined ? {} : { task }),
      ...(taskPort === undefined ? {} : { taskPort }),
    };
    const transferList = taskPort === undefined ? [] : [taskPort.port];
    this.#thread = new Worker(join(__dirname, 'thread.js'), { workerData, transferList, execArgv: [] });
    this.id = this.#thread.threadId;
    this.#thread.on('message', (message: FromThread) => start.onMessage(message, this));
    this.#thread.on('error', (error) => (this.error = error));
    this.#thread.on('exit', (code) => {
      this.ended = this.error?.message ?? (code === 0 ? '' : `exit code ${code}`);
      start.onExit(this);
    });
  }

  override end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    endOutside(this.#section, () => void this.#thread.terminate());
  }

  override tell(message: Answer | Notice): void {
    this.#thread.postMessage(message);
  }
}

export class RunningProcess extends RunningWorker {
  readonly id: number;
  readonly #process: ChildProcess;

  /**
   * @param start.fds what it inherits
   * @param start.file the scoreboard's, where it has no name
   */
  constructor(
    row: number,
    request: StartRequest,
    asker: RunningWorker | null,
    start: {
      readonly job: Job;
      readonly fds: readonly number[];
      readonly file: number | null;
      onExit(worker: RunningWorker): void;
      /** EAGAIN, ENOMEM, EMFILE: there is no such process. Its `id` is -1 */
      onNotStarted(error: Error): void;
    },
  ) {
    super(row, request, asker);
    const { job, fds, file } = start;
    const path = file === null ? job.scoreboard.path : openFile(FIRST_INHERITED + fds.length);
    const processJob: ProcessJob = { ...job, scoreboard: { ...job.scoreboard, path }, sockets: fds.length };
    const isWindows = process.platform === 'win32';
    const inherited = isWindows ? [] : [...fds, ...(file === null ? [] : [file])];
    this.#process = spawn(process.execPath, [join(__dirname, 'process.js'), JSON.stringify(processJob)], {
      stdio: [isWindows ? 'pipe' : 'ignore', 'inherit', 'inherit', ...inherited],
      windowsHide: true,
    });
    const { pid = -1 } = this.#process;
    this.id = pid;
    this.#process.on('error', (error) => {
      if (pid < 0) start.onNotStarted(error);
    });
    if (pid < 0) return;
    if (isWindows) share(this.#process, pid, fds);
    this.#process.on('exit', (code, signal) => {
      this.ended = signal ?? (code === 0 ? '' : `exit code ${code}`);
      start.onExit(this);
    });
  }

  override end(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  override tell(): void {
    throw new Error('a process has another way to its parent');
  }
}

/** A file of the same process's by its descriptor, to be opened anew. Linux. */
export const openFile = (fd: number): string => `/proc/self/fd/${fd}`;

/** Windows: a socket for another process is made for its number, and so when it is there. */
function share({ stdin }: ChildProcess, pid: number, fds: readonly number[]): void {
  stdin?.on('error', () => undefined); // it has died; its exit is told
  for (const fd of fds) {
    // Not blocking, as it is underneath: detach() makes a blocking one block for all who have it.
    const socket = Socket.fromFd(fd, { blocking: false });
    const bytes = socket.share(pid);
    socket.detach(); // it is still who asked's own
    stdin?.write(Buffer.of(bytes.length >> 8, bytes.length & 0xff));
    stdin?.write(bytes);
  }
  stdin?.end();
}
