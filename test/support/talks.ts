/** The requests of a client of each application, and the expected replies: the same for every server. */
import assert from 'node:assert/strict';
import { frame } from '../../src/servers/applications/framing.js';
import type { ApplicationName } from './servers.js';

/** One request and its reply. */
export interface Exchange {
  readonly request: Buffer;
  readonly answer: Buffer;
}

export interface Talk {
  /** @param who identifies the client @param size of the request's contents, in bytes */
  exchange(who: string, number: number, size?: number): Exchange;
  /** The received bytes that are replies to this client, and not to another one. */
  ownOf(who: string, received: Buffer): Buffer;
  /** The parts of the reply that may arrive in another order if the server does not keep the order. */
  pieces(answers: Buffer): readonly (string | number)[];
}

const contents = (who: string, number: number, size: number): string =>
  `${who}:${number}:`.padEnd(size, 'abcdefghijklmnopqrstuvwxyz');

const echo: Talk = {
  exchange(who, number, size = 24) {
    const request = Buffer.from(`${contents(who, number, size)}\n`);
    return { request, answer: request };
  },
  ownOf: (_, received) => received,
  pieces: (answers) => [...answers],
};

export const rpcRequest = (name: unknown, params?: unknown): Buffer => frame(JSON.stringify({ in: name, params }));
export const rpcAnswer = (out: string, result: unknown): Buffer => frame(JSON.stringify({ out, result }));

/** The bodies of the frames that are complete. */
export function framesOf(bytes: Buffer): string[] {
  const frames: string[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) break;
    frames.push(bytes.toString('utf8', at + 4, end));
    at = end;
  }
  return frames;
}

const rpc: Talk = {
  exchange(who, number, size = 24) {
    const params = contents(who, number, size);
    return { request: rpcRequest('ping', params), answer: rpcAnswer('pong', params) };
  },
  ownOf: (_, received) => received,
  pieces: framesOf,
};

/** Every complete line: all but the last. */
const linesOf = (bytes: Buffer): string[] => bytes.toString('utf8').split('\n').slice(0, -1);

const chat: Talk = {
  exchange(who, number, size = 24) {
    const text = contents(who, number, size);
    return {
      request: Buffer.from(`${JSON.stringify({ user: who, text })}\n`),
      answer: Buffer.from(`[${who}] ${text}\n`),
    };
  },
  ownOf(who, received) {
    const own = linesOf(received).filter((line) => line.startsWith(`[${who}] `));
    return Buffer.from(own.map((line) => `${line}\n`).join(''));
  },
  pieces: linesOf,
};

export const talks: Readonly<Record<ApplicationName, Talk>> = { echo, rpc, chat };

/** `count` exchanges, numbered from `from`. */
export function exchangesOf(
  talk: Talk,
  who: string,
  count: number,
  options: { readonly size?: number; readonly from?: number } = {},
): Exchange[] {
  return Array.from({ length: count }, (_, i) => talk.exchange(who, (options.from ?? 0) + i, options.size));
}

export const requestsOf = (exchanges: readonly Exchange[]): Buffer =>
  Buffer.concat(exchanges.map(({ request }) => request));
export const answersOf = (exchanges: readonly Exchange[]): Buffer =>
  Buffer.concat(exchanges.map(({ answer }) => answer));

/** @param inOrder false: the parts may be in any order */
export function assertAnswers(talk: Talk, received: Buffer, expected: Buffer, inOrder: boolean): void {
  if (inOrder ? received.equals(expected) : received.length === expected.length && inAnyOrder(talk, received, expected))
    return;
  const at = received.findIndex((byte, i) => byte !== expected[i]);
  assert.fail(
    `other bytes than expected: ${received.length} of ${expected.length}, the first other one at ${at}:\n` +
      `${received.toString('utf8', at, at + 100)}\n${expected.toString('utf8', at, at + 100)}`,
  );
}

function inAnyOrder(talk: Talk, received: Buffer, expected: Buffer): boolean {
  const sorted = (bytes: Buffer): string => talk.pieces(bytes).toSorted().join();
  return sorted(received) === sorted(expected);
}
