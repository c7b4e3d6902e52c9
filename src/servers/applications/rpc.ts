/**
 * Post 001's remote procedure calls. A request is a frame (framing.ts) of JSON, `{"in": "ping", "params": …}`, and is answered by one,
 * `{"out": "pong", "result": …}`, in the order of the requests. What is no request, or asks for an unknown method, is answered by
 * `{"out": "error", "result": "why"}`; a frame that is too long by the end of the connection, for nobody knows where the next begins.
 */
import { type Application, type Work, answering } from './application.js';
import { FrameReader, frame } from './framing.js';
import { Inbox, Waiting } from './inbox.js';

/** What a method answers: the reply's name, and what makes its result. */
export interface Method {
  readonly out: string;
  call(params: unknown): unknown;
}

export type Methods = Readonly<Record<string, Method>>;

export const LONGEST_FRAME = 1 << 20;
/** The longest `sleep`, in milliseconds. */
export const LONGEST_SLEEP = 10_000;

/** `ping` answers its parameters; `sleep` holds the thread that does the work for so many milliseconds: a slow request (post 002). */
const METHODS: Methods = {
  ping: { out: 'pong', call: (params) => params },
  sleep: {
    out: 'slept',
    call: (ms) => {
      if (typeof ms !== 'number' || !(ms >= 0 && ms <= LONGEST_SLEEP))
        throw new Error(`sleep takes a number of milliseconds, at most ${LONGEST_SLEEP}`);
      Atomics.wait(NEVER_NOTIFIED, 0, 0, ms);
      return ms;
    },
  },
};
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));

/**
 * @param methods what can be called: `ping` and `sleep` where nothing is said
 * @param work answers the requests; where nothing is said, the application does at once
 */
export function rpc(
  methods: Methods = METHODS,
  work: Work = answering((request) => answerRpc(request, methods)),
): Application {
  const waiting = new Waiting();
  return {
    borrowsChunks: true,
    open(peer) {
      peer.data = new Inbox(peer, new FrameReader(LONGEST_FRAME, true), waiting, (request) => work(peer, request));
    },
    data(peer, chunk) {
      if (peer.data instanceof Inbox) peer.data.receive(chunk);
    },
    close(peer) {
      if (peer.data instanceof Inbox) peer.data.close();
    },
    stop: () => waiting.close(),
  };
}

/** The reply to a request, as the frame that goes over the wire. */
export function answerRpc(request: Buffer, methods: Methods = METHODS): Buffer {
  return frame(resultOf(request, methods));
}

function resultOf(request: Buffer, methods: Methods): string {
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
