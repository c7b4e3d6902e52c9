/**
 * Post 004's client: one selector watches the socket and the standard input, which is one more file object.
 *
 *   input is watched --what the kernel does not take at once is queued--> input waits --queue empty--> input is watched
 *
 * It reads while it writes: a client that only wrote would wait for a server that waits for it to read.
 */
import { readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultSelector, EVENT_READ, EVENT_WRITE, type FileObject, Socket } from '../index.js';
import { LONGEST_LINE } from '../servers/applications/chat.js';
import { FrameReader, frame } from '../servers/applications/framing.js';
import { jsonForTerminal, textOfLines } from '../servers/applications/plain-text.js';
import { LONGEST_FRAME } from '../servers/applications/rpc.js';

/** What is sent for what is typed, and printed for what comes. What comes may be meant to mislead: no control of a terminal is printed. */
export interface Conversation {
  /** @param typed null: it has ended. @returns what is sent */
  typed(typed: Buffer | null): Uint8Array;
  /** @param bytes null: nothing more will come. @returns what is printed. @throws what came makes no sense, and nothing will from now on */
  received(bytes: Buffer | null): Uint8Array | string;
  /**
   * What is wrong when the server ends the conversation; null: nothing.
   * @param hasEnded the input had ended before
   */
  missing(hasEnded: boolean): string | null;
}

export function echoConversation(options: { readonly isRaw?: boolean } = {}): Conversation {
  let unanswered = 0;
  const shown = forTerminal(options.isRaw === true ? null : (text) => textOfLines(text, '\t'));
  return {
    typed: (typed) => {
      unanswered += typed?.length ?? 0;
      return typed ?? Buffer.alloc(0);
    },
    received: (bytes) => {
      unanswered -= bytes?.length ?? 0;
      return shown(bytes);
    },
    // The server may be of another kind, and end when it likes (a clock's, say): only what is lost is an error.
    missing: () => (unanswered > 0 ? `${unanswered} bytes have not come back` : null),
  };
}

/** @param complain called with the reason why a line is not sent */
export function chatConversation(user: string, complain: (why: string) => void): Conversation {
  return {
    typed: eachLine((text) => {
      const line = JSON.stringify({ user, text });
      if (Buffer.byteLength(line) <= LONGEST_LINE) return `${line}\n`;
      complain(`not sent: a message has at most ${LONGEST_LINE} bytes, as JSON`);
      return '';
    }),
    received: forTerminal((text) => textOfLines(text)),
    missing: (hasEnded) => (hasEnded ? null : 'what you type reaches nobody any more'),
  };
}

/** @param complain called with the reason why a line is not sent */
export function rpcConversation(complain: (why: string) => void): Conversation {
  const replies = new FrameReader(LONGEST_FRAME);
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
        throw new Error('what came is no reply: the server serves something else than rpc');
      return lines;
    },
    missing: (hasEnded) => (unanswered > 0 || !hasEnded ? `requests without an answer: ${unanswered}` : null),
  };
}

/** Bytes as text, wherever they are cut. @param show null: the bytes as they are */
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
    return bytes.length <= LONGEST_FRAME ? bytes : new Error(`a request has at most ${LONGEST_FRAME} bytes`);
  } catch (error) {
    return new Error(`'${line}' is not METHOD [JSON params]: ${(error as Error).message}`);
  }
}

/** Lines out of what is typed, of which the last may lack its end; empty ones are nothing. */
function eachLine(convert: (line: string) => string | Uint8Array): Conversation['typed'] {
  const decoder = new TextDecoder();
  let begun = '';
  return (typed) => {
    const text = typed === null ? `${decoder.decode()}\n` : decoder.decode(typed, { stream: true });
    const lines = (begun + text).split('\n');
    begun = lines.pop() ?? '';
    const said = lines.map((line) => line.trim()).filter((line) => line !== '');
    return Buffer.concat(said.map((line) => Buffer.from(convert(line) as string)));
  };
}

/**
 * Sends what is typed, prints what comes, until the server ends the conversation.
 * @throws where it ends it before the input has ended, or before it has answered
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
    const watched = selector.getMap().has(input.file);
    if (isEmpty && !ended && !watched) selector.register(input.file, EVENT_READ, onInput);
    if ((!isEmpty || ended) && watched) selector.unregister(input.file);
    if (isEmpty && ended) socket.shutdown('write'); // the server answers what it has, and ends
  };

  let input = directInput();
  selector.register(socket, EVENT_READ, onServer);
  try {
    selector.register(input.file, EVENT_READ, onInput);
  } catch {
    // Not a file that the system can watch: Windows' console and pipes; a regular file, with epoll.
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
  const missing = queue.length > 0 ? 'not all that was typed is sent' : conversation.missing(ended);
  if (missing !== null) throw new Error(`the server has ended the conversation: ${missing}`);
}

interface Input {
  readonly file: FileObject;
  /** null: nothing yet. Empty: the end. */
  read(): Buffer | null;
  close(): void;
}

function directInput(): Input {
  const buffer = Buffer.alloc(65_536);
  const read = (): Buffer | null => {
    try {
      return Buffer.from(buffer.subarray(0, readSync(0, buffer)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return null; // somebody has made it non-blocking
      throw error;
    }
  };
  return { file: { fd: 0 }, read, close: () => undefined };
}

/** Node reads the standard input, and passes it on through a pair of sockets, of which one can be watched. */
function bridgedInput(): Input {
  const [source, sink] = Socket.pair({ blocking: false });
  const pump = async (): Promise<void> => {
    for await (const chunk of process.stdin) {
      for (let rest = chunk as Buffer; rest.length > 0;) {
        const sent = sink.send(rest);
        if (sent === null)
          await sleep(5); // the other end is in this very thread: let it read
        else rest = rest.subarray(sent);
      }
    }
  };
  const onError = (error: unknown): void => {
    if (source.fd < 0) return; // the conversation is over, and nobody reads what is typed
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
