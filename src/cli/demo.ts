/**
 * `demo`, which `npm start` runs: prints the mechanisms of this machine, then runs an echo and a chat server with clients in processes of
 * their own, and prints the traffic.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Command } from 'commander';
import { distPath } from '../package-folder.js';
import { Reactor } from '../index.js';
import type { ApplicationName } from '../servers/applications/index.js';
import { type LogTraffic, serveOn, showAddress } from '../servers/worker/serve.js';
import { pc } from '../terminal/colors.js';
import { beside, wrap, terminalColumns } from '../terminal/text.js';
import { mechanismTable, systemLine } from './info.js';
import { showBytes } from './output.js';

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** A client in a process of its own: `selectors-native client`. */
class Client {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #closed: Promise<unknown>;
  #printed = '';

  constructor(
    readonly user: string,
    app: string,
    port: number,
  ) {
    const args = [distPath('cli/main.js'), 'client', app, '--port', String(port), '--user', user];
    this.#process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process.stdout.on('data', (bytes: Buffer) => (this.#printed += bytes.toString('utf8')));
    this.#closed = once(this.#process, 'close');
    process.once('exit', () => this.#process.kill());
  }

  type(text: string): void {
    this.#process.stdin.write(text);
  }

  /** Waits until it has printed this text. */
  async waitForOutput(text: string): Promise<void> {
    while (!this.#printed.includes(text)) {
      const what = await Promise.race([once(this.#process.stdout, 'data'), this.#closed.then(() => 'closed')]);
      if (what === 'closed') throw new Error(`${this.user} ended before it printed ${JSON.stringify(text)}`);
    }
  }

  /** Ends its input, waits for its exit, and compares its whole output. */
  async end(expected: string): Promise<void> {
    this.#process.stdin.end();
    await this.#closed;
    if (this.#process.exitCode !== 0 || this.#printed !== expected) {
      throw new Error(`${this.user} printed ${JSON.stringify(this.#printed)} instead of ${JSON.stringify(expected)}`);
    }
    print(`  ${pc.green('✓')} ${this.user} printed ${JSON.stringify(this.#printed)}`);
  }
}

/** Runs a server while `conversation` talks to it, and prints the server's traffic. */
async function withServer(app: ApplicationName, conversation: (port: number) => Promise<void>): Promise<void> {
  using loop = new Reactor();
  const log: LogTraffic = (peer, event, bytes) => {
    const arrow = event === 'sent' ? '──▶' : event === 'gets' ? '◀──' : '   ';
    const head = `  ${peer.padEnd(16)} ${arrow} `;
    print(bytes === undefined ? head + pc.dim(event) : beside(head, showBytes(bytes), head.length));
  };
  const server = serveOn(loop, {}, app, { log });
  const { address } = server.listener;
  print(pc.bold(`\n${app} server on ${showAddress(address)}, a reactor on ${loop.mechanism} inside Node's loop`));
  const served = loop.start();
  try {
    await conversation((address as { port: number }).port);
  } finally {
    server.stop();
    await served;
  }
}

async function echoes(port: number): Promise<void> {
  const typed = ['hello, select\n', 'grüße an epoll\nand kqueue\n'];
  await Promise.all(
    typed.map(async (text, index) => {
      const client = new Client(`client ${index + 1}`, 'echo', port);
      client.type(text);
      await client.end(text);
    }),
  );
}

async function chats(port: number): Promise<void> {
  const ann = new Client('ann', 'chat', port);
  ann.type('is anybody there?\n');
  await ann.waitForOutput('there?\n');
  const bob = new Client('bob', 'chat', port);
  bob.type('bob is\n');
  await Promise.all([ann, bob].map((client) => client.waitForOutput('[bob] bob is\n')));
  ann.type('hello, bob\n');
  await Promise.all([ann, bob].map((client) => client.waitForOutput('[ann] hello, bob\n')));
  await bob.end('[bob] bob is\n[ann] hello, bob\n');
  await ann.end('[ann] is anybody there?\n[bob] bob is\n[ann] hello, bob\n');
}

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('show the mechanisms of this machine, and run an echo and a chat server with real clients')
    .action(async () => {
      print(`${wrap(systemLine(), terminalColumns()).join('\n')}\n${mechanismTable()}`);
      await withServer('echo', echoes);
      await withServer('chat', chats);
    });
}
