/** What a thread or a process of a server does when it has started: its role's program, to its end. */
import type { ServerModelName, ServerSettings } from '../protocol/settings.js';
import { models } from '../models/index.js';
import { type WorkerContext, Closing, Server } from '../worker/server.js';
import type { Role } from '../protocol/messages.js';

/** What all have in common that work for one server. */
export interface Job {
  readonly model: ServerModelName;
  readonly role: Role;
  readonly settings: ServerSettings;
  readonly scoreboard: { readonly path: string; readonly size: number };
  /** Its row of the scoreboard. */
  readonly row: number;
}

/** BLOCKS for as long as the program runs. @throws what it throws, but that the server is being closed */
export function runProgram({ model, role }: Job, belongings: WorkerContext): void {
  const server = new Server(belongings);
  try {
    models[model][role]?.(server);
  } catch (error) {
    if (!(error instanceof Closing)) throw error;
  }
}
