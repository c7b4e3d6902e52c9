/** The threads and processes of a server, as the supervisor sees them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { Socket } from '../../index.js';
import { distPath } from '../../package-folder.js';
import { terminateOutside, createSectionMemory } from '../worker/critical-section.js';
import type {
  StartReply,
  TaskReply,
  Listening,
  WorkerNotice,
  ReleaseRequest,
  StartRequest,
  WorkerInfo,
} from '../protocol/messages.js';
import { FIRST_INHERITED, type ProcessJob } from './process-job.js';
import type { Job } from './program.js';
import type { ThreadData } from './thread.js';

/** What a thread posts to the supervisor. */
export type ThreadMessage = StartRequest | ReleaseRequest | Listening | TaskReply;

export abstract class RunningWorker {
  readonly startedAt = performance.now();
  /** Why it has exited; '': its program has returned; null: it runs. */
  exitReason: string | null = null;
  /** By killWorker(). */
  wasKilled = false;
  /** Its requester has sent the ReleaseRequest. */
  isReleased = false;
  /** The process id, or Node's thread id. */
  abstract readonly id: number;

  constructor(
    readonly row: number,
    readonly request: StartRequest,
    /** The thread whose program asked for it; null: the supervisor itself. */
    readonly requester: RunningWorker | null,
  ) {}

  get info(): WorkerInfo {
    const { kind, role } = this.request;
    return { id: this.id, kind, role };
  }

  get hasExited(): boolean {
    return this.exitReason !== null;
  }

  /** Terminates it: a process by this signal, a thread outside of its critical sections. */
  abstract terminate(signal: NodeJS.Signals): void;
  abstract post(message: StartReply | WorkerNotice): void;
}

const WAKE_INTERVAL_MS = 10;

export class RunningThread extends RunningWorker {
  readonly id: number;
  /** What its program threw. */
  error: Error | null = null;
  readonly #thread: Worker;
  readonly #section = createSectionMemory();
  readonly #wake: () => void;
  #isTerminating = false;
  #isWoken = false;

  constructor(
    row: number,
    request: StartRequest,
    requester: RunningWorker | null,
    start: {
      readonly job: Job;
      readonly control: Int32Array;
      /** Ends its wait: of its loop, or of the system call that blocks it. */
      readonly wake: () => void;
      onMessage(message: ThreadMessage, from: RunningWorker): void;
      onExit(worker: RunningWorker): void;
    },
  ) {
    super(row, request, requester);
    this.#wake = start.wake;
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
    this.#thread = new Worker(distPath('servers/supervision/thread.js'), { workerData, transferList, execArgv: [] });
    this.id = this.#thread.threadId;
    this.#thread.on('message', (message: ThreadMessage) => start.onMessage(message, this));
    this.#thread.on('error', (error) => (this.error = error));
    this.#thread.on('exit', (code) => {
      this.exitReason = this.error?.message ?? (code === 0 ? '' : `exit code ${code}`);
      start.onExit(this);
    });
  }

  override terminate(): void {
    if (this.#isTerminating) return;
    this.#isTerminating = true;
    terminateOutside(this.#section, () => {
      void this.#thread.terminate();
      this.wakeUntilExit();
    });
  }

  /** Wakes it again and again until it has exited: a request that arrives before it blocks has no effect. */
  wakeUntilExit(): void {
    if (this.#isWoken) return;
    this.#isWoken = true;
    const wake = (): void => {
      if (this.hasExited) return;
      this.#wake();
      setTimeout(wake, WAKE_INTERVAL_MS);
    };
    wake();
  }

  override post(message: StartReply | WorkerNotice): void {
    this.#thread.postMessage(message);
  }
}

export class RunningProcess extends RunningWorker {
  readonly id: number;
  readonly #process: ChildProcess;

  /**
   * @param start.fds the sockets that it inherits
   * @param start.file the descriptor of the scoreboard's file if that has no name; null: job.scoreboard.path names it
   */
  constructor(
    row: number,
    request: StartRequest,
    requester: RunningWorker | null,
    start: {
      readonly job: Job;
      readonly fds: readonly number[];
      readonly file: number | null;
      onExit(worker: RunningWorker): void;
      /** The system could not start a process (EAGAIN, ENOMEM, EMFILE); `id` is -1. */
      onNotStarted(error: Error): void;
    },
  ) {
    super(row, request, requester);
    const { job, fds, file } = start;
    const path = file === null ? job.scoreboard.path : openFile(FIRST_INHERITED + fds.length);
    const processJob: ProcessJob = { ...job, scoreboard: { ...job.scoreboard, path }, sockets: fds.length };
    const isWindows = process.platform === 'win32';
    const inherited = isWindows ? [] : [...fds, ...(file === null ? [] : [file])];
    this.#process = spawn(process.execPath, [distPath('servers/supervision/process.js'), JSON.stringify(processJob)], {
      stdio: [isWindows ? 'pipe' : 'ignore', 'inherit', 'inherit', ...inherited],
      windowsHide: true,
    });
    const { pid = -1 } = this.#process;
    this.id = pid;
    this.#process.on('error', (error) => {
      if (pid < 0) start.onNotStarted(error);
    });
    if (pid < 0) return;
    if (isWindows) sendSockets(this.#process, pid, fds);
    this.#process.on('exit', (code, signal) => {
      this.exitReason = signal ?? (code === 0 ? '' : `exit code ${code}`);
      start.onExit(this);
    });
  }

  override terminate(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  override post(): void {
    throw new Error('a process receives no messages from the supervisor');
  }
}

/** A path that opens the file of one of this process's descriptors again. Linux only. */
export const openFile = (fd: number): string => `/proc/self/fd/${fd}`;

/** Windows: WSADuplicateSocket needs the id of the process that gets the socket, so the sockets are sent after its start. */
function sendSockets({ stdin }: ChildProcess, pid: number, fds: readonly number[]): void {
  stdin?.on('error', () => undefined); // it has exited; 'exit' reports it
  for (const fd of fds) {
    // Non-blocking, as the handle is: detach() of a blocking one would make the handle block for all processes that share it.
    const socket = Socket.fromFd(fd, { blocking: false });
    const bytes = socket.share(pid);
    socket.detach(); // the requester still owns the descriptor
    stdin?.write(Buffer.of(bytes.length >> 8, bytes.length & 0xff));
    stdin?.write(bytes);
  }
  stdin?.end();
}
