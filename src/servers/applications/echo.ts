/** Posts 000 to 004: sends each peer its own bytes back, all of them before the end of the stream. */
import { type Application, type AnswerRequest, answerInline } from './application.js';

/** @param answer Default: answers synchronously */
export function echo(answer: AnswerRequest = answerInline(answerEcho)): Application {
  return { borrowsChunks: true, data: answer };
}

export const answerEcho = (request: Buffer): Uint8Array => request;
