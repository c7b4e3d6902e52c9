/** What a thread or process of a server does after it has started: runs the program of its role. */
import type { ServerModelName, ServerSettings } from '../protocol/settings.js';
import { models } from '../models/index.js';
import { Server, ServerClosing, type WorkerContext } from '../worker/server.js';
import type { Role } from '../protocol/messages.js';

/** What each thread and process of a server needs to know to start. */
export interface Job {
  readonly model: ServerModelName;
  readonly role: Role;
  readonly settings: ServerSettings;
  /** The file to map, and its number of rows. */
  readonly scoreboard: { readonly path: string; readonly size: number };
  /** Its own row of the scoreboard. */
  readonly row: number;
}

/** BLOCKS while the program runs. @throws what the program throws, except ServerClosing */
export function runProgram({ model, role }: Job, context: WorkerContext): void {
  const server = new Server(context);
  try {
    models[model][role]?.(server);
  } catch (error) {
    if (!(error instanceof ServerClosing)) throw error;
  }
}
