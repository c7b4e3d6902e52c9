/**
 * Counts instructions per message, delivery or turn: in user space, of the server only.
 *
 * After a warm-up, in which V8 compiles the hot functions, several windows of as many exchanges are counted, then idle windows without
 * requests. The count is the difference of their medians: a function that is compiled late affects only one window. Later work of the
 * garbage collector is not included. callgrind counts from near the end of the warm-up: all before takes a third of the time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { distPath } from '../../../package-folder.js';
import { Socket } from '../../../index.js';
import { LineChild } from '../../measuring/line-child.js';
import { spreadOf } from '../../measuring/spread.js';
import { builtC } from '../build.js';
import { sectionsIn, underCallgrind } from './callgrind.js';
import { COMMANDS, type Start, type Started } from './commands.js';
import { AT_ONCE, type Clients, type Workload } from './workloads.js';

const WINDOWS = 9;
const IDLE_WINDOWS = 3;
/** Share of the warm-up that is repeated after the garbage collection, which can discard compiled functions. */
const SECOND_WARM_UP = 0.2;
/** Milliseconds for a reply, which should already be there. */
const REPLY_TIMEOUT = 10_000;

export interface CountOptions {
  /** When V8 compiles: see underCallgrind(). */
  readonly budget: number;
  readonly signal: AbortSignal;
  /** @param share 0 to 1 */
  readonly onProgress?: (share: number) => void;
}

/** @returns the count, or the reason why this system has none. @throws Error of the program; the signal's reason. All processes have exited. */
export async function count(
  workload: Workload,
  { budget, signal, onProgress }: CountOptions,
): Promise<number | string> {
  const folder = mkdtempSync(resolve(tmpdir(), 'instructions-'));
  try {
    const start: Start = { name: workload.name, path: join(folder, 'socket'), instrument: builtC('instrument') };
    const wrapper = underCallgrind(folder, budget);
    const child = new LineChild(distPath('instruments/bench/instructions/program.js'), start, { wrapper, signal });
    try {
      const { lacks } = (await child.answer()) as Started;
      if (lacks !== '') return lacks;
      await runClients(workload, start.path, child, onProgress);
    } catch (error) {
      child.kill();
      throw error;
    } finally {
      await child[Symbol.asyncDispose]();
    }
    return perUnit(sectionsIn(folder), workload);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function perUnit(sections: readonly number[], { window, units }: Workload): number {
  const expected = WINDOWS + IDLE_WINDOWS;
  if (sections.length !== expected)
    throw new Error(
      `callgrind made ${sections.length} counts, not ${expected}: does it know Node's functions by name?`,
    );
  const [busy, idle] = [sections.slice(0, WINDOWS), sections.slice(WINDOWS)].map((some) => spreadOf(some).median);
  return ((busy ?? NaN) - (idle ?? NaN)) / (window * units);
}

/** The clients' side, from connecting to closing. */
async function runClients(
  workload: Workload,
  path: string,
  child: LineChild,
  onProgress: CountOptions['onProgress'],
): Promise<void> {
  const { clients } = workload;
  const sockets: Socket[] = [];
  try {
    if (clients !== null) await connect(sockets, clients, path, child);
    await run(
      workload,
      child,
      async () => {
        if (clients !== null) send(sockets, clients);
        await child.ask(COMMANDS.exchange);
        if (clients !== null) check(sockets, clients);
      },
      onProgress,
    );
  } finally {
    for (const socket of sockets) socket.close();
  }
}

async function run(
  { warmUp, window }: Workload,
  child: LineChild,
  exchange: () => Promise<void>,
  onProgress: CountOptions['onProgress'],
): Promise<void> {
  const warm = Math.ceil(warmUp * (1 + SECOND_WARM_UP));
  const busy = WINDOWS * window;
  const idle = IDLE_WINDOWS * window;
  for (let i = 0; i < warm; i++) {
    if (i === warmUp) {
      await child.ask(COMMANDS.collect);
      await child.ask(COMMANDS.instrument);
    }
    await exchange();
    await child.ask(COMMANDS.nothing);
    onProgress?.(i / (warm + busy));
  }
  for (let i = 0; i < busy + idle; i++) {
    if (i % window === 0) await child.ask(COMMANDS.mark);
    if (i < busy) await exchange();
    else await child.ask(COMMANDS.nothing);
    onProgress?.(Math.min(1, (warm + i) / (warm + busy)));
  }
  await child.ask(COMMANDS.mark);
}

async function connect(sockets: Socket[], { connections }: Clients, path: string, child: LineChild): Promise<void> {
  while (sockets.length < connections) {
    const limit = Math.min(sockets.length + AT_ONCE, connections);
    while (sockets.length < limit) {
      const socket = new Socket({ family: 'unix' });
      sockets.push(socket);
      socket.connect({ path });
      socket.timeout = REPLY_TIMEOUT;
    }
    await child.ask(COMMANDS.admit);
  }
}

function send(sockets: readonly Socket[], { senders, request }: Clients): void {
  for (let i = 0; i < senders; i++) (sockets[i] as Socket).sendAll(request);
}

const received = Buffer.alloc(65_536);

/** Checks each byte of the replies. */
function check(sockets: readonly Socket[], { reply }: Clients): void {
  for (const socket of sockets) {
    let length = 0;
    while (length < reply.length) {
      const more = socket.recvInto(received, length, reply.length - length) ?? 0;
      if (more === 0) throw new Error('the server closed a connection');
      length += more;
    }
    if (reply.compare(received, 0, length) !== 0) throw new Error('the server sent a wrong reply');
  }
}
