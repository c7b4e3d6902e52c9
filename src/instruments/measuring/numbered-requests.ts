/** Requests of the rpc application (post 001) that carry a number each: whose answer an answer is can be seen. */
import { FrameReader, frame } from '../../servers/applications/framing.js';
import { MAX_FRAME } from '../../servers/applications/rpc.js';
import type { Client } from './client.js';

/** Always as long. */
const textOf = (number: number): string => String(number).padStart(4, '0');

const requestOf = (number: number): Buffer => frame(JSON.stringify({ in: 'ping', params: textOf(number) }));
const answerTo = (number: number): Buffer => Buffer.from(JSON.stringify({ out: 'pong', result: textOf(number) }));

/** Of each frame, in bytes. */
export const REQUEST_LENGTH = requestOf(0).length;

/** Frames of the numbers from 0 on. */
export const requests = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => requestOf(i));

/** Receives as many answers as there were requests. @returns how many were those to the requests, in their order */
export async function rightAnswers(client: Client, count: number): Promise<number> {
  const reader = new FrameReader(MAX_FRAME);
  let answers = 0;
  let right = 0;
  while (answers < count) {
    const chunk = await client.received();
    if (chunk === null) break;
    const isStream = reader.read(chunk, (answer) => {
      if (answer.equals(answerTo(answers++))) right++;
    });
    if (!isStream) break; // what came is no frame, and nothing after it
  }
  return right;
}
