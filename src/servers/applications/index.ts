/** One row an application. */
import type { Application, Work } from './application.js';
import { chat } from './chat.js';
import { answerEcho, echo } from './echo.js';
import { answerRpc, rpc } from './rpc.js';

export interface ApplicationRow {
  readonly summary: string;
  /**
   * A new one: a chat room of its own.
   * @param work does what is asked, where not the application itself shall: in another thread, say
   */
  create(work?: Work): Application;
  /** What a request is answered with. null: an answer is not of one peer alone, and so the work cannot be done elsewhere. */
  readonly answer: ((request: Buffer) => Uint8Array) | null;
}

export const applications = {
  echo: { summary: 'bytes come back', create: echo, answer: answerEcho },
  rpc: {
    summary: '4-byte length + JSON {"in": "ping", "params": …} → {"out": "pong", "result": …}',
    create: (work) => rpc(undefined, work),
    answer: answerRpc,
  },
  chat: { summary: 'a JSON line {"user": …, "text": …} → [user] text, to everybody', create: chat, answer: null },
} satisfies Readonly<Record<string, ApplicationRow>>;

export type ApplicationName = keyof typeof applications;

/** The same, for a name that is not known before. */
export const applicationRow = (name: ApplicationName): ApplicationRow => applications[name];
