/** What the supervisor's thread is started with. */
import type { MessagePort } from 'node:worker_threads';
import type { ServerModelName, ServerSettings } from '../protocol/settings.js';

export interface SupervisorData {
  readonly model: ServerModelName;
  readonly settings: ServerSettings;
  /** A folder for the server's files, which who has started the server removes behind it. */
  readonly folder: string;
  /** To who has started the server. */
  readonly port: MessagePort;
  /** For one that blocks: see below. */
  readonly said: Int32Array;
}

/** In `said`: counts what was said over the port. */
export const NEWS = 0;
/** In `said`: the supervisor's program runs. */
export const HAS_STARTED = 1;
export const SAID_CELLS = 2;
