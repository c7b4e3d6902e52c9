/** Posts 000 to 004: whatever a peer sends comes back to it, all of it before the end of the stream. */
import { type Application, type Work, answering } from './application.js';

/** @param work answers what came; where nothing is said, the application does at once */
export function echo(work: Work = answering(answerEcho)): Application {
  return { borrowsChunks: true, data: work };
}

export const answerEcho = (request: Buffer): Uint8Array => request;
