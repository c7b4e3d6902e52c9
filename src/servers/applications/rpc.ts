/**
 * Post 001's remote procedure calls. A request is a frame (framing.ts) of JSON, `{"in": "ping", "params": …}`; the reply is a frame
 * `{"out": "pong", "result": …}`. Replies come in the order of the requests. The reply to an invalid request or an unknown method is
 * `{"out": "error", "result": "why"}`. A frame over the limit ends the connection, since the start of the next one is unknown.
 */
import { type Application, type AnswerRequest, answerInline } from './application.js';
import { FrameReader, frame } from './framing.js';
import { Inbox, PendingInboxes } from './inbox.js';

/** A method that can be called. */
export interface Method {
  /** `out` of its replies. */
  readonly out: string;
  /** @returns the result; undefined becomes null. @throws what is reported as an error reply */
  call(params: unknown): unknown;
}

export type Methods = Readonly<Record<string, Method>>;

/** The longest frame in bytes, without its length. */
export const MAX_FRAME = 1 << 20;
/** The longest `sleep`, in milliseconds. */
export const MAX_SLEEP = 10_000;

/** `ping` returns its parameters; `sleep` blocks the thread that answers, for `params` milliseconds: a slow request (post 002). */
const METHODS: Methods = {
  ping: { out: 'pong', call: (params) => params },
  sleep: {
    out: 'slept',
    call: (ms) => {
      if (typeof ms !== 'number' || !(ms >= 0 && ms <= MAX_SLEEP))
        throw new Error(`sleep takes a number of milliseconds, at most ${MAX_SLEEP}`);
      Atomics.wait(NEVER_NOTIFIED, 0, 0, ms);
      return ms;
    },
  },
};
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));

/**
 * @param methods what can be called. Default: `ping` and `sleep`
 * @param answer Default: answers synchronously
 */
export function rpc(
  methods: Methods = METHODS,
  answer: AnswerRequest = answerInline((request) => answerRpc(request, methods)),
): Application {
  const pending = new PendingInboxes();
  return {
    borrowsChunks: true,
    open(peer) {
      peer.data = new Inbox(peer, new FrameReader(MAX_FRAME, true), pending, (request) => answer(peer, request));
    },
    data(peer, chunk) {
      if (peer.data instanceof Inbox) peer.data.receive(chunk);
    },
    close(peer) {
      if (peer.data instanceof Inbox) peer.data.close();
    },
    stop: () => pending.close(),
  };
}

/** The reply to a request, as a frame. */
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
