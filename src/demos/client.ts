/**
 * Post 004's client: one selector watches the socket and the standard input, which is one more file object.
 *
 * Where it is not one that the system can watch (Windows' console and pipes; a regular file, with epoll), Node reads it, and passes
 * it on through a pair of sockets that can be.
 */
import { readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BaseSelector, DefaultSelector, EVENT_READ, Socket } from '../index.js';

/** What the client makes of a line that was typed. */
export type LineToBytes = (line: string) => string;

export const echoLine: LineToBytes = (line) => `${line}\n`;
export const chatLine =
  (user: string): LineToBytes =>
  (text) =>
    `${JSON.stringify({ user, text })}\n`;

/** Sends the lines of the standard input, prints what comes, until the server ends the conversation. */
export async function client(host: string, port: number, toBytes: LineToBytes): Promise<void> {
  using selector = new DefaultSelector<() => void>();
  using socket = new Socket({ family: host.includes(':') ? 'ipv6' : 'ipv4' });
  socket.connect({ host, port });

  let typed = '';
  const decoder = new TextDecoder();
  const onInput = (bytes: Buffer): void => {
    const lines = (typed + decoder.decode(bytes, { stream: true })).split('\n');
    typed = lines.pop() ?? '';
    for (const line of lines) socket.sendAll(toBytes(line));
  };
  const onInputEnd = (): void => {
    if (typed !== '') socket.sendAll(toBytes(typed));
    socket.shutdown('write'); // the server answers what it has, and ends
  };
  const onMessage = (): void => {
    const bytes = socket.recv(65_536);
    if (bytes === null || bytes.length === 0)
      selector.close(); // which ends the loop below
    else process.stdout.write(bytes);
  };

  selector.register(socket, EVENT_READ, onMessage);
  watchInput(selector, onInput, onInputEnd);
  for await (const ready of selector) {
    for (const [key] of ready) key.data();
  }
}

function watchInput(selector: BaseSelector<() => void>, onInput: (bytes: Buffer) => void, onEnd: () => void): void {
  const stdin = { fd: 0 };
  const buffer = Buffer.alloc(65_536);
  const handle = (source: { fd: number }, bytes: Buffer): void => {
    if (bytes.length > 0) return onInput(bytes);
    selector.unregister(source);
    onEnd();
  };
  try {
    selector.register(stdin, EVENT_READ, () => handle(stdin, buffer.subarray(0, readSync(0, buffer))));
  } catch {
    const bridge = bridgeFromStdin();
    selector.register(bridge, EVENT_READ, () => handle(bridge, bridge.recv(65_536) ?? Buffer.alloc(0)));
  }
}

/** A socket from which the standard input can be received. */
function bridgeFromStdin(): Socket {
  const [source, sink] = Socket.pair({ blocking: false });
  const pump = async (): Promise<void> => {
    for await (const chunk of process.stdin) {
      let rest = chunk as Buffer;
      while (rest.length > 0) {
        const sent = sink.send(rest);
        if (sent === null)
          await sleep(5); // the other end is in this very thread: let it read
        else rest = rest.subarray(sent);
      }
    }
    sink.close();
  };
  void pump();
  return source;
}
