/**
 * Instructions a message, a delivery or a turn: in user space, the server's alone.
 *
 * It is warmed up until V8 has compiled what is hot; then several windows of as many exchanges each are counted, and some in which nothing
 * is asked for. The median of the ones less the median of the others is the count: a function that is compiled late spoils one window. What
 * the garbage collector will do later is not in it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Socket } from '../../../index.js';
import { LineChild } from '../../measuring/line-child.js';
import { spreadOf } from '../../measuring/spread.js';
import { sectionsIn, underCallgrind } from './callgrind.js';
import { COMMANDS, type Start, type Started } from './commands.js';
import { AT_ONCE, type Clients, type Workload } from './workloads.js';

const WINDOWS = 9;
const IDLE_WINDOWS = 3;
/** Again after the garbage was collected, for that can take compiled functions with it. */
const SECOND_WARM_UP = 0.2;
/** What was answered is there; milliseconds. */
const PATIENCE = 10_000;

export interface CountOptions {
  /** When V8 compiles: see underCallgrind(). */
  readonly budget: number;
  readonly signal: AbortSignal;
  /** @param share 0 to 1 */
  readonly onProgress?: (share: number) => void;
}

/** @returns the count; or why this system has none. @throws what went wrong; the signal's reason, and no process is left */
export async function count(
  workload: Workload,
  { budget, signal, onProgress }: CountOptions,
): Promise<number | string> {
  const folder = mkdtempSync(resolve(tmpdir(), 'instructions-'));
  try {
    const start: Start = { name: workload.name, path: join(folder, 'socket') };
    const wrapper = underCallgrind(folder, budget);
    const child = new LineChild(join(__dirname, 'program.js'), start, { wrapper, signal });
    try {
      const { lacks } = (await child.answer()) as Started;
      if (lacks !== '') return lacks;
      await talk(workload, start.path, child, onProgress);
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
      `callgrind has made ${sections.length} counts, not ${expected}: does it know Node's functions by name?`,
    );
  const [busy, idle] = [sections.slice(0, WINDOWS), sections.slice(WINDOWS)].map((some) => spreadOf(some).median);
  return ((busy ?? NaN) - (idle ?? NaN)) / (window * units);
}

/** The clients' side, from the first connection to the last. */
async function talk(
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
    if (i === warmUp) await child.ask(COMMANDS.collect);
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
    const most = Math.min(sockets.length + AT_ONCE, connections);
    while (sockets.length < most) {
      const socket = new Socket({ family: 'unix' });
      sockets.push(socket);
      socket.connect({ path });
      socket.timeout = PATIENCE;
    }
    await child.ask(COMMANDS.admit);
  }
}

function send(sockets: readonly Socket[], { senders, request }: Clients): void {
  for (let i = 0; i < senders; i++) (sockets[i] as Socket).sendAll(request);
}

const received = Buffer.alloc(65_536);

/** Each byte that comes back. */
function check(sockets: readonly Socket[], { reply }: Clients): void {
  for (const socket of sockets) {
    let length = 0;
    while (length < reply.length) {
      const more = socket.recvInto(received, length, reply.length - length) ?? 0;
      if (more === 0) throw new Error('the server has closed a connection');
      length += more;
    }
    if (reply.compare(received, 0, length) !== 0) throw new Error('the server has answered something else');
  }
}
