/** Numbered requests of the rpc application (post 001): the number in a reply shows which request it answers. */
import { FrameReader, frame } from '../../servers/applications/framing.js';
import { MAX_FRAME } from '../../servers/applications/rpc.js';
import type { Client } from './client.js';

/** The number in four digits, so that all frames have the same length. */
const textOf = (number: number): string => String(number).padStart(4, '0');

const requestOf = (number: number): Buffer => frame(JSON.stringify({ in: 'ping', params: textOf(number) }));
const replyTo = (number: number): Buffer => Buffer.from(JSON.stringify({ out: 'pong', result: textOf(number) }));

/** Length of each request frame, in bytes. */
export const REQUEST_LENGTH = requestOf(0).length;

/** Request frames with the numbers 0, 1, …. */
export const requests = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => requestOf(i));

/** Receives `count` replies. @returns the number of replies that answer the request at their position */
export async function countCorrectReplies(client: Client, count: number): Promise<number> {
  const reader = new FrameReader(MAX_FRAME);
  let replies = 0;
  let correct = 0;
  while (replies < count) {
    const chunk = await client.receive();
    if (chunk === null) break;
    const isValid = reader.read(chunk, (reply) => {
      if (reply.equals(replyTo(replies++))) correct++;
    });
    if (!isValid) break; // an invalid frame: nothing behind it can be read
  }
  return correct;
}
