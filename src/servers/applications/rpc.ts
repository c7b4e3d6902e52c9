/**
 * Post 001's remote procedure calls. A request is a frame (framing.ts) of JSON, `{"in": "ping", "params": …}`, and is answered by one,
 * `{"out": "pong", "result": …}`, in the order of the requests. What is no request, or asks for an unknown method, is answered by
 * `{"out": "error", "result": "why"}`; a frame that is too long by the end of the connection, for nobody knows where the next begins.
 */
import type { Application, Peer } from './application.js';
import { FrameReader, frame } from './framing.js';

/** What a method answers: the reply's name, and what makes its result. */
export interface Method {
  readonly out: string;
  call(params: unknown): unknown;
}

const PING: Readonly<Record<string, Method>> = { ping: { out: 'pong', call: (params) => params } };

export const LONGEST_FRAME = 1 << 20;

/** @param methods what can be called: `ping`, which answers its parameters, where nothing is said */
export function rpc(methods: Readonly<Record<string, Method>> = PING): Application {
  return {
    borrowsChunks: true,
    open(peer) {
      peer.data = new FrameReader(LONGEST_FRAME);
    },
    data(peer, chunk) {
      const reader = peer.data;
      if (!(reader instanceof FrameReader)) return peer.destroy(); // refused before, and it sends on
      const isGood = reader.read(chunk, (request) => void peer.write(frame(JSON.stringify(answer(request, methods)))));
      if (!isGood) refuse(peer);
    },
  };
}

/** Earlier requests still get their answers. */
function refuse(peer: Peer): void {
  peer.data = null;
  peer.end();
}

interface Reply {
  readonly out: string;
  readonly result: unknown;
}

function answer(request: Buffer, methods: Readonly<Record<string, Method>>): Reply {
  try {
    const { in: name, params } = parse(request);
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (method === undefined) throw new Error(`there is no method '${name}'`);
    return { out: method.out, result: method.call(params) ?? null };
  } catch (error) {
    return { out: 'error', result: error instanceof Error ? error.message : String(error) };
  }
}

function parse(request: Buffer): { readonly in: string; readonly params: unknown } {
  const value: unknown = JSON.parse(request.toString('utf8'));
  const fields = typeof value === 'object' && value !== null ? (value as { in?: unknown; params?: unknown }) : {};
  if (typeof fields.in !== 'string') throw new Error('a request is {"in": a method\'s name, "params": anything}');
  return { in: fields.in, params: fields.params };
}
