/** One row an application. */
import type { Application } from './application.js';
import { chat } from './chat.js';
import { echo } from './echo.js';
import { rpc } from './rpc.js';

export interface ApplicationRow {
  readonly summary: string;
  /** A new one: a chat room of its own. */
  create(): Application;
}

export const applications = {
  echo: { summary: 'bytes come back', create: echo },
  rpc: {
    summary: '4-byte length + JSON {"in": "ping", "params": …} → {"out": "pong", "result": …}',
    create: () => rpc(),
  },
  chat: { summary: 'a JSON line {"user": …, "text": …} → [user] text, to everybody', create: chat },
} satisfies Readonly<Record<string, ApplicationRow>>;

export type ApplicationName = keyof typeof applications;
