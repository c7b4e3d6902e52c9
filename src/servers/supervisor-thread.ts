/** The thread that starts and watches a server's threads and processes, as its owner sees it. */
import { MessageChannel, type MessagePort, Worker, isMainThread, receiveMessageOnPort } from 'node:worker_threads';
import { distPath } from '../package-folder.js';
import { interruptUntilEnded } from '../syscalls/slices.js';
import { makeTemporaryFolder, removeTemporaryFolder } from '../syscalls/temporary-folders.js';
import type { Model } from './models/model.js';
import type { SupervisorEvent, SupervisorRequest } from './protocol/messages.js';
import type { ServerSettings } from './protocol/settings.js';
import { EVENT_COUNT, HAS_STARTED, SIGNAL_CELLS, type SupervisorData } from './supervision/supervisor-data.js';

/** Node has no error for a thread that never starts to run. Milliseconds. */
const MAX_START_MS = 30_000;
/** How often waitForEvent() checks that limit, in milliseconds. */
const START_POLL_INTERVAL_MS = 100;

let interruptsAllOnExit = false;

/** When the main thread exits, Node waits for all threads, also for one that is blocked in a system call. */
function interruptAllOnExit(): void {
  if (interruptsAllOnExit || !isMainThread) return;
  interruptsAllOnExit = true;
  process.on('exit', () => interruptUntilEnded());
}

export class SupervisorThread {
  readonly worker: Worker;
  /** Emits each SupervisorEvent as a 'message'. */
  readonly port: MessagePort;
  /** It has exited: it answers no more requests. */
  hasEnded = false;
  readonly #folder: string;
  readonly #signals = new Int32Array(new SharedArrayBuffer(SIGNAL_CELLS * Int32Array.BYTES_PER_ELEMENT));

  constructor({ name }: Model, settings: ServerSettings) {
    interruptAllOnExit();
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.#folder = makeTemporaryFolder('selectors-native-');
    const data: SupervisorData = { model: name, settings, folder: this.#folder, port: port2, signals: this.#signals };
    try {
      this.worker = new Worker(distPath('servers/supervision/supervisor.js'), {
        workerData: data,
        transferList: [port2],
        execArgv: [],
      });
    } catch (error) {
      this.removeFiles();
      throw error;
    }
  }

  /** To be called after the thread has exited: Windows cannot remove a file that is still mapped. */
  removeFiles(): void {
    removeTemporaryFolder(this.#folder);
  }

  send(request: SupervisorRequest): void {
    this.port.postMessage(request);
  }

  /** Passes on the events that are queued in the port: the thread's exit may be reported before its last events. */
  receiveAll(onEvent: (event: SupervisorEvent) => void): void {
    for (let event = this.#receive(); event !== undefined; event = this.#receive()) onEvent(event);
  }

  /** BLOCKS until the next event. @throws Error after 30 s: the thread has not started to run (no memory, no descriptors) */
  waitForEvent(): SupervisorEvent {
    for (const since = performance.now(); ;) {
      const seen = Atomics.load(this.#signals, EVENT_COUNT);
      const event = this.#receive();
      if (event !== undefined) return event;
      const hasStarted = Atomics.load(this.#signals, HAS_STARTED) !== 0;
      if (!hasStarted && performance.now() - since > MAX_START_MS) throw new Error('the server does not start');
      Atomics.wait(this.#signals, EVENT_COUNT, seen, hasStarted ? Infinity : START_POLL_INTERVAL_MS);
    }
  }

  #receive(): SupervisorEvent | undefined {
    const received = receiveMessageOnPort(this.port) as { readonly message: SupervisorEvent } | undefined;
    return received?.message;
  }
}
