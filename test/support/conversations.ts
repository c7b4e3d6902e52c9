/**
 * Seeded conversations between two ends on one loop. The data depends on the seed alone, and not on how the bytes are split into chunks,
 * so the transcripts of every loop are the same.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Connection, ConnectionHandler, EventLoop } from '../../src/index.js';
import { Random } from './random.js';

const MAX_CONCURRENT = 40;
const MAX_LINES = 12;
const SIZES = [0, 1, 60, 4096, 5000, 65_536, 150_000];

/** The server's side: handles lines with commands. One object for all connections. */
class Server implements ConnectionHandler<{ line: string; said: string[] }> {
  readonly #loop: EventLoop;
  readonly #tell: (name: string, said: readonly string[]) => void;

  constructor(loop: EventLoop, tell: (name: string, said: readonly string[]) => void) {
    this.#loop = loop;
    this.#tell = tell;
  }

  open(connection: Connection<{ line: string; said: string[] }>): void {
    connection.data = { line: '', said: ['open'] };
    connection.write('welcome\n');
  }

  data(connection: Connection<{ line: string; said: string[] }>, chunk: Buffer): void {
    const lines = (connection.data.line + chunk.toString('latin1')).split('\n');
    connection.data.line = lines.pop() ?? '';
    for (const line of lines) this.#answer(connection, line);
  }

  end(connection: Connection<{ line: string; said: string[] }>): void {
    connection.data.said.push('end');
    connection.end(`${connection.data.said.length} things\n`);
  }

  close(connection: Connection<{ line: string; said: string[] }>, error: Error | null): void {
    connection.data.said.push(`close ${error?.message ?? ''}`);
    this.#tell(connection.data.said[1] ?? '', connection.data.said);
  }

  #answer(connection: Connection<{ line: string; said: string[] }>, line: string): void {
    const [what = '', argument = ''] = line.split(' ', 2);
    connection.data.said.push(`${what} ${argument.length > 20 ? hashOf(argument) : argument}`);
    if (what === 'give') connection.write(Buffer.alloc(Number(argument), `${argument},`));
    else if (what === 'echo') connection.write(`${argument}\n`);
    else if (what === 'wait') {
      connection.pause();
      this.#loop.callLater(Number(argument), () => connection.resume());
    }
  }
}

/** The client's side: sends its lines in chunks of any size, then half-closes and reads to the end of the stream. */
function clientOf(lines: string, random: Random, over: (received: string) => void): ConnectionHandler {
  const hash = createHash('sha256');
  let length = 0;
  let at = 0;
  const events: string[] = [];
  const say = (connection: Connection): void => {
    for (let piece = random.below(4); at < lines.length; piece = random.below(4)) {
      const end = at + ([1, 7, 1000, 70_000][piece] as number);
      const isAccepted = connection.write(lines.slice(at, end));
      at = end;
      if (!isAccepted) return;
    }
    connection.end();
  };
  return {
    open: say,
    drain: say,
    data(_connection, chunk) {
      hash.update(chunk);
      length += chunk.length;
    },
    end: () => void events.push('end'),
    close(_connection, error) {
      events.push(`close ${error?.message ?? ''}`);
      over(`${length} ${hash.digest('hex')} ${events.join(', ')}`);
    },
  };
}

function linesOf(number: number, random: Random): string {
  const lines = [`name ${number}`];
  for (let count = random.below(MAX_LINES); count > 0; count--) {
    const size = random.of(SIZES);
    lines.push(random.of([`give ${size}`, `echo ${'abc'.repeat(size / 3)}`, `wait ${random.below(3)}`]));
  }
  return `${lines.join('\n')}\n`;
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

/** @returns the transcripts, by the numbers of the conversations: the callbacks of both ends */
export function converse(loop: EventLoop, seed: number, conversations: number): string[] {
  const heard = new Map<string, string>();
  const said = new Map<string, string>();
  const server = new Server(loop, (name, lines) => void said.set(name, lines.join('\n')));
  const { address } = loop.listen<{ line: string; said: string[] }>({ backlog: 128 }, server);
  let begun = 0;
  const begin = (): void => {
    if (begun === conversations) return;
    const number = begun++;
    const random = new Random(seed * 1_000_003 + number);
    const lines = linesOf(number, random);
    const over = (received: string): void => {
      heard.set(`name ${number}`, received);
      begin();
    };
    loop.connect(address, clientOf(lines, random, over));
  };
  for (let i = 0; i < MAX_CONCURRENT; i++) begin();
  const deadline = loop.now() + 120_000;
  while (heard.size < conversations || said.size < conversations) {
    assert.ok(loop.now() < deadline, `${heard.size} and ${said.size} of ${conversations} are over`);
    loop.runOnce(1000);
  }
  return Array.from({ length: conversations }, (_, i) => `${said.get(`name ${i}`)}\n${heard.get(`name ${i}`)}`);
}
