/**
 * Post 001's remote procedure calls. A request is a frame (framing.ts) of JSON, `{"in": "ping", "params": …}`, and is answered by one,
 * `{"out": "pong", "result": …}`, in the order of the requests. What is no request, or asks for an unknown method, is answered by
 * `{"out": "error", "result": "why"}`; a frame that is too long by the end of the connection, for nobody knows where the next begins.
 */
import type { Application } from './application.js';
import { FrameReader, Refused, frame } from './framing.js';

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
      const { data } = peer;
      if (data instanceof FrameReader) {
        if (data.read(chunk, (request) => void peer.write(frame(answer(request, methods))))) return;
        peer.data = new Refused();
        peer.end(); // earlier requests still get their answers
      } else if (!(data instanceof Refused) || !data.ignore(chunk)) {
        peer.destroy();
      }
    },
  };
}

function answer(request: Buffer, methods: Readonly<Record<string, Method>>): string {
  try {
    const { in: name, params } = parse(request);
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (method === undefined) throw new Error(`there is no method '${name}'`);
    return JSON.stringify({ out: method.out, result: method.call(params) ?? null });
  } catch (error) {
    return JSON.stringify({ out: 'error', result: error instanceof Error ? error.message : String(error) });
  }
}

function parse(request: Buffer): { readonly in: string; readonly params: unknown } {
  const value: unknown = JSON.parse(request.toString('utf8'));
  const fields = typeof value === 'object' && value !== null ? (value as { in?: unknown; params?: unknown }) : {};
  if (typeof fields.in !== 'string') throw new Error('a request is {"in": a method\'s name, "params": anything}');
  return { in: fields.in, params: fields.params };
}
