/**
 * Post 004's client: one selector watches the socket and the standard input.
 *
 *   input is watched --bytes that the kernel does not take at once are queued--> input waits --queue empty--> input is watched
 *
 * It receives while bytes are queued: otherwise client and server could each wait until the other receives.
 */
import { readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultSelector, EVENT_READ, EVENT_WRITE, type FileObject, Socket } from '../index.js';
import { MAX_LINE } from '../servers/applications/chat.js';
import { FrameReader, frame } from '../servers/applications/framing.js';
import { jsonForTerminal, printableLines } from '../servers/applications/plain-text.js';
import { MAX_FRAME } from '../servers/applications/rpc.js';

/** Translates typed lines into bytes to send, and received bytes into text. Untrusted: control characters are not printed. */
export interface Conversation {
  /** @param typed null: the input has ended. @returns the bytes to send */
  typed(typed: Buffer | null): Uint8Array;
  /** @param bytes null: the stream has ended. @returns what to print. @throws the bytes are not of this protocol */
  received(bytes: Buffer | null): Uint8Array | string;
  /**
   * Called when the server ends the conversation.
   * @param hasEnded the input had ended before
   * @returns what is missing; null: nothing
   */
  missing(hasEnded: boolean): string | null;
}

export function echoConversation(options: { readonly isRaw?: boolean } = {}): Conversation {
  let unanswered = 0;
  const shown = forTerminal(options.isRaw === true ? null : (text) => printableLines(text, '\t'));
  return {
    typed: (typed) => {
      unanswered += typed?.length ?? 0;
      return typed ?? Buffer.alloc(0);
    },
    received: (bytes) => {
      unanswered -= bytes?.length ?? 0;
      return shown(bytes);
    },
    // Another kind of server may end at any time (a time server, for example): only lost bytes are an error.
    missing: () => (unanswered > 0 ? `${unanswered} bytes did not come back` : null),
  };
}

/** @param complain called with the reason why a line is not sent */
export function chatConversation(user: string, complain: (why: string) => void): Conversation {
  return {
    typed: eachLine((text) => {
      const line = JSON.stringify({ user, text });
      if (Buffer.byteLength(line) <= MAX_LINE) return `${line}\n`;
      complain(`not sent: a message has at most ${MAX_LINE} bytes, as JSON`);
      return '';
    }),
    received: forTerminal((text) => printableLines(text)),
    missing: (hasEnded) => (hasEnded ? null : 'what you type is not sent any more'),
  };
}

/** @param complain called with the reason why a line is not sent */
export function rpcConversation(complain: (why: string) => void): Conversation {
  const replies = new FrameReader(MAX_FRAME);
  let unanswered = 0;
  return {
    typed: eachLine((line) => {
      const request = rpcRequest(line);
      if (request instanceof Error) complain(`not sent: ${request.message}`);
      else unanswered++;
      return request instanceof Error ? '' : request;
    }),
    received(bytes) {
      let lines = '';
      const onReply = (reply: Buffer): void => {
        unanswered--;
        lines += `${jsonForTerminal(reply.toString('utf8'))}\n`;
      };
      if (!replies.read(bytes ?? Buffer.alloc(0), onReply))
        throw new Error('not a reply: the server serves something else than rpc');
      return lines;
    },
    missing: (hasEnded) => (unanswered > 0 || !hasEnded ? `requests without a reply: ${unanswered}` : null),
  };
}

/** Decodes UTF-8 across chunks. @param show makes the text printable; null: prints the bytes as they are */
function forTerminal(show: ((text: string) => string) | null): Conversation['received'] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return (bytes) => {
    if (show === null) return bytes ?? '';
    return show(bytes === null ? decoder.decode() : decoder.decode(bytes, { stream: true }));
  };
}

/** The frame of `METHOD [JSON params]`. */
function rpcRequest(line: string): Uint8Array | Error {
  const [, method = '', params = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
  try {
    const request = { in: method, ...(params === '' ? {} : { params: JSON.parse(params) as unknown }) };
    const bytes = frame(JSON.stringify(request));
    return bytes.length <= MAX_FRAME ? bytes : new Error(`a request has at most ${MAX_FRAME} bytes`);
  } catch (error) {
    return new Error(`'${line}' is not METHOD [JSON params]: ${(error as Error).message}`);
  }
}

/** Splits typed text into lines, the last of which may lack its newline; empty lines are skipped. */
function eachLine(convert: (line: string) => string | Uint8Array): Conversation['typed'] {
  const decoder = new TextDecoder();
  let partial = '';
  return (typed) => {
    const text = typed === null ? `${decoder.decode()}\n` : decoder.decode(typed, { stream: true });
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    const nonEmpty = lines.map((line) => line.trim()).filter((line) => line !== '');
    return Buffer.concat(nonEmpty.map((line) => Buffer.from(convert(line) as string)));
  };
}

/**
 * Sends what is typed, and prints what arrives, until the server ends the conversation.
 * @throws Error when the server ends it too early: Conversation.missing() names what is missing
 */
export async function client(host: string, port: number, conversation: Conversation): Promise<void> {
  using selector = new DefaultSelector<(events: number) => void>();
  using socket = new Socket({ family: host.includes(':') ? 'ipv6' : 'ipv4' });
  socket.connect({ host, port });
  socket.blocking = false;

  const queue: Uint8Array[] = [];
  let ended = false;

  const onInput = (): void => {
    const typed = input.read();
    if (typed === null) return;
    ended = typed.length === 0;
    const bytes = conversation.typed(ended ? null : typed);
    if (bytes.length > 0) queue.push(bytes);
    flush();
  };
  const onServer = (events: number): void => {
    if ((events & EVENT_WRITE) !== 0) flush();
    if ((events & EVENT_READ) === 0) return;
    const bytes = socket.recv(65_536);
    if (bytes === null) return;
    process.stdout.write(conversation.received(bytes.length > 0 ? bytes : null));
    if (bytes.length === 0) selector.close(); // which ends the loop below
  };
  const flush = (): void => {
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const sent = socket.send(first);
      if (sent === null) break;
      if (sent < first.length) queue[0] = first.subarray(sent);
      else queue.shift();
    }
    const isEmpty = queue.length === 0;
    selector.modify(socket, isEmpty ? EVENT_READ : EVENT_READ | EVENT_WRITE, onServer);
    const isWatched = selector.getMap().has(input.file);
    if (isEmpty && !ended && !isWatched) selector.register(input.file, EVENT_READ, onInput);
    if ((!isEmpty || ended) && isWatched) selector.unregister(input.file);
    if (isEmpty && ended) socket.shutdown('write'); // the server replies to what it has received, and ends
  };

  let input = directInput();
  selector.register(socket, EVENT_READ, onServer);
  try {
    selector.register(input.file, EVENT_READ, onInput);
  } catch {
    // The selector cannot watch this file: Windows' console and pipes; a regular file with epoll.
    input = bridgedInput();
    selector.register(input.file, EVENT_READ, onInput);
  }
  try {
    for await (const ready of selector) {
      for (const [key, events] of ready) if (!selector.closed) key.data(events);
    }
  } finally {
    input.close();
  }
  const missing = queue.length > 0 ? 'not all of the input was sent' : conversation.missing(ended);
  if (missing !== null) throw new Error(`the server has ended the conversation: ${missing}`);
}

interface Input {
  readonly file: FileObject;
  /** @returns null: nothing to read now; empty: the end of the input */
  read(): Buffer | null;
  close(): void;
}

/** The standard input itself. */
function directInput(): Input {
  const buffer = Buffer.alloc(65_536);
  const read = (): Buffer | null => {
    try {
      return Buffer.from(buffer.subarray(0, readSync(0, buffer)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return null; // another process has made it non-blocking
      throw error;
    }
  };
  return { file: { fd: 0 }, read, close: () => undefined };
}

/** Node reads the standard input and passes it on through a socket pair, which the selector can watch. */
function bridgedInput(): Input {
  const [source, sink] = Socket.pair({ blocking: false });
  const pump = async (): Promise<void> => {
    for await (const chunk of process.stdin) {
      for (let rest = chunk as Buffer; rest.length > 0;) {
        const sent = sink.send(rest);
        if (sent === null)
          await sleep(5); // the other end is read by this thread
        else rest = rest.subarray(sent);
      }
    }
  };
  const onError = (error: unknown): void => {
    if (source.fd < 0) return; // the conversation has ended
    process.stderr.write(`standard input: ${(error as Error).message}\n`);
    process.exitCode = 1;
  };
  void pump()
    .catch(onError)
    .finally(() => sink.close());
  const close = (): void => {
    source.close();
    process.stdin.destroy();
  };
  return { file: source, read: () => source.recv(65_536), close };
}
