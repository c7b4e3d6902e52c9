/** Post 002 (b): processes are isolated. A worker dies of SIGSEGV: what else dies with it? */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../measuring/client.js';
import { MeasuredServer } from '../measuring/measured-server.js';
import { subjectNamed } from '../measuring/subjects.js';
import { type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One crash. */
export interface Crash {
  readonly model: string;
  readonly workersAre: 'processes' | 'threads';
  /** Clients that were being served, each by its own worker. */
  readonly clients: number;
  /** Of these, those that were still served after the crash. */
  readonly survivors: number;
  /** Is a client that connects after the crash served? */
  readonly servesNewClients: boolean;
}

/** The figures of this experiment. */
export interface CrashIsolationFigures {
  readonly crashes: readonly Crash[];
}

const MODELS = [
  ['process-per-connection', 'processes'],
  ['process-pool', 'processes'],
  ['thread-per-connection', 'threads'],
  ['thread-pool', 'threads'],
] as const;
const WORKERS = 4;
const POLL_INTERVAL_MS = 1;

async function measure(context: MeasureContext): Promise<CrashIsolationFigures> {
  const { signal } = context;
  const crashes: Crash[] = [];
  for (const [index, [model, workersAre]] of MODELS.entries()) {
    context.progress(index, MODELS.length, model);
    crashes.push(await crashOf(model, workersAre, signal));
  }
  context.progress(MODELS.length, MODELS.length, 'done');
  return { crashes };
}

async function crashOf(model: string, workersAre: Crash['workersAre'], signal: AbortSignal): Promise<Crash> {
  await using server = await MeasuredServer.start(subjectNamed(model), { workers: WORKERS, signal });
  const clients: Client[] = [];
  try {
    for (let i = 0; i < WORKERS; i++) {
      const client = await Client.connect(server.port, signal);
      clients.push(client);
      if (!(await isServed(client))) throw new Error(`${model} does not serve client ${i + 1}`);
    }
    const victim = workersAre === 'processes' ? await workerProcessOf(server) : threadOf(server.pid);
    process.kill(victim, 'SIGSEGV');
    await untilDead(workersAre === 'processes' ? victim : server.pid, signal);
    // Which client belongs to the victim is not known: each one is asked.
    const served = await Promise.all(clients.map(isServed));
    const servesNewClients = await servesANewClient(server, clients, signal);
    const survivors = served.filter((one) => one).length;
    return { model, workersAre, clients: clients.length, survivors, servesNewClients };
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}

async function workerProcessOf(server: MeasuredServer): Promise<number> {
  const worker = (await server.workers()).find(({ role, kind }) => role === 'work' && kind === 'process');
  if (worker === undefined) throw new Error('the server has no worker process');
  return worker.id;
}

/** A thread of the process other than its first one. A signal that is sent to its number is one of the whole process (signal(7)). */
function threadOf(pid: number): number {
  const thread = readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .find((id) => id !== pid);
  if (thread === undefined) throw new Error('the server has no other thread');
  return thread;
}

/** Waits until a process has ended: the signal is delivered a little later, and the process may still answer. */
async function untilDead(pid: number, signal: AbortSignal): Promise<void> {
  const isDead = (): boolean => {
    try {
      return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return true;
    }
  };
  while (!isDead()) await sleep(POLL_INTERVAL_MS, undefined, { signal });
}

/** Sends a byte and waits for its echo. false: the connection has ended. */
async function isServed(client: Client): Promise<boolean> {
  try {
    client.send(Buffer.of(1));
    return (await client.receive()) !== null;
  } catch {
    return false;
  }
}

async function servesANewClient(
  { port }: MeasuredServer,
  old: readonly Client[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const client of old) client[Symbol.dispose](); // a pool serves a new client when a worker is free
  try {
    using client = await Client.connect(port, signal);
    return await isServed(client);
  } catch (error) {
    signal.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
    return false;
  }
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict({ crashes }: CrashIsolationFigures): Verdict {
  const statement = (text: string, workersAre: Crash['workersAre'], isSo: (crash: Crash) => boolean): Statement => {
    const tried = crashes.filter((crash) => crash.workersAre === workersAre);
    const [first] = [...tried.filter((crash) => !isSo(crash)), ...tried];
    if (first === undefined) return { statement: text, outcome: 'not tried', because: 'It was not measured.' };
    const { model, survivors, clients, servesNewClients } = first;
    return {
      statement: text,
      outcome: tried.every(isSo) ? 'holds' : 'does not hold here',
      because: `${model}: ${survivors} of ${clients} clients were still served, and a new one ${servesNewClients ? 'was' : 'was not'} (crashes: ${tried.length}).`,
    };
  };
  return verdictOf([
    statement(
      'a process that dies of SIGSEGV costs the connection that it serves, and no other',
      'processes',
      ({ clients, survivors, servesNewClients }) => survivors === clients - 1 && servesNewClients,
    ),
    statement(
      'a SIGSEGV in a thread ends the server with all its connections',
      'threads',
      ({ survivors, servesNewClients }) => survivors === 0 && !servesNewClients,
    ),
  ]);
}

function tables({ crashes }: CrashIsolationFigures): readonly ReportTable[] {
  return [
    {
      title: 'A worker dies of SIGSEGV',
      columns: ['model', 'workers are', 'clients', 'still served', 'a new client is served'],
      rows: crashes.map(({ model, workersAre, clients, survivors, servesNewClients }) => [
        model,
        workersAre,
        clients,
        survivors,
        servesNewClients ? 'yes' : 'no',
      ]),
    },
  ];
}

export const crashIsolation: Experiment<CrashIsolationFigures> = {
  name: 'crash-isolation',
  title: 'What dies with a worker',
  claim: 'Processes are isolated: a crash stays local. Threads share memory, and the fate of their process.',
  source: 'post 002, claims (b) and (c)',
  setUp: `Echo servers with ${WORKERS} clients, each of which a worker of its own serves. One worker gets SIGSEGV; then each client sends a byte, and a new one connects.`,
  isAvailable: process.platform === 'linux',
  why:
    process.platform === 'linux'
      ? '/proc lists the threads of a process'
      : 'needs /proc of Linux, which lists the threads of a process',
  measure,
  tables,
  charts: () => [],
  verdict,
};
