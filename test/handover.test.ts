/** Connections that one thread or process accepts and another serves, and a listening socket that several share. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Socket } from '../src/index.js';
import { Bench } from './support/bench.js';
import { programText } from './support/program.js';

const isWindows = process.platform === 'win32';
const notOnWindows = isWindows ? ' — not here: Windows hands sockets over otherwise' : '';
const SERVERS = 3;
const CLIENTS = 60;

/** Each server replies with its name and counts its replies. */
const handler = (name: string): string => `
  const served = new Set();
  const handler = {
    open(connection) { served.add(connection); },
    data(connection, chunk) { connection.write(${name} + chunk); },
  };
`;

/** A loop in a thread that receives the descriptors of connected sockets. */
const worker = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { make, name } = workerData;
  const loop = make === 'reactor' ? new selectors.Reactor() : new selectors.ProactorLoop();
  ${handler('name')}
  parentPort.on('message', (fd) => {
    if (fd >= 0) return void loop.adopt(selectors.Socket.fromFd(fd), handler);
    parentPort.postMessage(served.size);
    loop.close();
    parentPort.close();
  });
  loop.start();
`;

/** A process that inherited a listening socket. */
class Child {
  readonly #process: ChildProcess;
  #said = '';

  constructor(bench: Bench, listener: Socket, name: string) {
    const body = `
      const loop = new selectors.Reactor();
      ${handler('process.argv[1]')}
      loop.listen({ socket: selectors.Socket.fromFd(3) }, handler);
      loop.onSignal('SIGTERM', () => loop.stop());
      process.stdout.write('ready\\n');
      loop.run();
      loop.close();
      process.stdout.write(String(served.size));
    `;
    const stdio = ['ignore', 'pipe', 'inherit', listener.fd] as const;
    this.#process = spawn(process.execPath, ['-e', programText(body), name], { stdio: [...stdio] });
    this.#process.stdout?.on('data', (bytes: Buffer) => (this.#said += bytes.toString()));
    bench.atEnd(() => this.#process.kill('SIGKILL'));
  }

  async isReady(): Promise<void> {
    while (this.#said === '') await Promise.race([once(this.#process.stdout as Readable, 'data'), this.#failed()]);
  }

  /** @returns the number of connections served */
  async end(): Promise<number> {
    this.#process.kill('SIGTERM');
    expect(await once(this.#process, 'close')).toEqual([0, null]);
    return Number(this.#said.slice('ready\n'.length));
  }

  async #failed(): Promise<never> {
    throw new Error(`it ended: ${String(await once(this.#process, 'close'))}`);
  }
}

/** Connects blocking clients one after the other. @returns the name in each reply */
function askAll(bench: Bench, connect: (client: Socket) => void): string[] {
  const clients = Array.from({ length: CLIENTS }, () => {
    const client = bench.own(new Socket());
    client.timeout = 10_000;
    connect(client);
    return client;
  });
  for (const client of clients) client.sendAll('?');
  return clients.map((client) => client.recv(100)?.toString() ?? '');
}

describe('several loops', () => {
  it.each(['reactor', 'proactor'])('one thread accepts and distributes the connections: %s', async (make) => {
    using bench = new Bench();
    const workers = Array.from({ length: SERVERS }, (_, i) => {
      const started = new Worker(programText(worker), { eval: true, workerData: { make, name: String(i) } });
      bench.atEnd(() => void started.terminate());
      return started;
    });
    const listener = bench.listener({});
    let next = 0;
    const answers = askAll(bench, (client) => {
      client.connect(listener.localAddress);
      const accepted = listener.accept() as Socket;
      workers[next++ % SERVERS]?.postMessage(accepted.detach());
    });
    expect(answers).toEqual(Array.from({ length: CLIENTS }, (_, i) => `${i % SERVERS}?`));
    for (const each of workers) {
      const ended = once(each, 'exit');
      each.postMessage(-1);
      expect(await once(each, 'message')).toEqual([CLIENTS / SERVERS]);
      await ended;
    }
  });

  it.skipIf(isWindows)(`processes share an inherited socket${notOnWindows}`, async () => {
    using bench = new Bench();
    const listener = bench.listener({});
    const children = Array.from({ length: SERVERS }, (_, i) => new Child(bench, listener, String(i)));
    for (const each of children) await each.isReady();
    const answers = askAll(bench, (client) => client.connect(listener.localAddress));
    const served = await Promise.all(children.map((each) => each.end()));
    expect(served.reduce((sum, each) => sum + each)).toBe(CLIENTS);
    served.forEach((count, i) => expect(answers.filter((answer) => answer === `${i}?`)).toHaveLength(count));
  });
});
