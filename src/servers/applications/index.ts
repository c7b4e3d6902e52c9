/** The table of applications. */
import type { Application, AnswerRequest } from './application.js';
import { chat } from './chat.js';
import { answerEcho, echo } from './echo.js';
import { answerRpc, rpc } from './rpc.js';

export interface ApplicationRow {
  /** One line. */
  readonly summary: string;
  /**
   * A new instance; for chat, a room of its own.
   * @param answer answers the requests, for example in another thread. Default: the application itself, synchronously
   */
  create(answer?: AnswerRequest): Application;
  /** The reply to a request. null: a message goes to several peers, so another thread cannot answer it. */
  readonly answer: ((request: Buffer) => Uint8Array) | null;
}

export const applications = {
  echo: { summary: 'sends the bytes back', create: echo, answer: answerEcho },
  rpc: {
    summary: '4-byte length + JSON {"in": "ping", "params": …} → {"out": "pong", "result": …}',
    create: (answer) => rpc(undefined, answer),
    answer: answerRpc,
  },
  chat: { summary: 'a JSON line {"user": …, "text": …} → [user] text, to all', create: chat, answer: null },
} satisfies Readonly<Record<string, ApplicationRow>>;

/** What a server can serve: 'echo' (sends the bytes back), 'rpc' (length-prefixed JSON requests), 'chat' (a room for all clients). */
export type ApplicationName = keyof typeof applications;

/** The row as an ApplicationRow, for a name that is not known at compile time. */
export const applicationRow = (name: ApplicationName): ApplicationRow => applications[name];
