/** What the supervisor's thread is started with. */
import type { MessagePort } from 'node:worker_threads';
import type { ServerModelName, ServerSettings } from '../protocol/settings.js';

export interface SupervisorData {
  readonly model: ServerModelName;
  readonly settings: ServerSettings;
  /** A folder for the server's files; the server's owner removes it. */
  readonly folder: string;
  /** To the server's owner: SupervisorEvent one way, SupervisorRequest the other. */
  readonly port: MessagePort;
  /** Cells EVENT_COUNT and HAS_STARTED: an owner that blocks (EchoServer) sleeps on them. */
  readonly signals: Int32Array;
}

/** Cell of `signals`: events sent over the port; Atomics.notify() follows each. */
export const EVENT_COUNT = 0;
/** Cell of `signals`: 1 as soon as the supervisor's thread runs. */
export const HAS_STARTED = 1;
export const SIGNAL_CELLS = 2;
