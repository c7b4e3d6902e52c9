/** Runs a loop under a fault rule, with clients that know every byte; and checks what must hold. */
import { type ChildProcess, fork } from 'node:child_process';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ExactClient, type Seen } from './exact-client.js';
import { MATRIX, type Outcome, type Row, ruleOf } from './fault-matrix.js';
import { completionMechanisms } from './mechanisms.js';
import { root } from './program.js';

export const notHere = process.platform === 'linux' ? '' : ' — not here: the rows are those of Linux';

interface Cell {
  readonly make: string;
  readonly mechanism: string;
  readonly mode: string;
  readonly plan: string;
}
interface Ended {
  /** The error codes that `onError` received, and `close CODE` for those of connections. */
  readonly told: readonly string[];
  readonly counts: readonly { readonly calls: number; readonly injected: number }[];
  /** Descriptors that are still open. */
  readonly left: number;
}
export interface Result extends Ended {
  readonly seen: readonly Seen[];
  readonly late: Seen;
  /** System calls while all clients were idle. */
  readonly idle: number;
}

const EARLY = 2;
const CLIENTS = 6;
/** Idle time in ms, and the system calls allowed in it: those of the query itself, and of pauses that end. */
const IDLE = 30;
const MAX_IDLE = 60;

/** A client fails after so many ms without data: after a lost byte it would wait forever. */
const CLIENT_TIMEOUT = 60_000;
/** The same where a byte is lost on purpose, ms. */
export const SHORT_CLIENT_TIMEOUT = 500;

/** The control connection to the server. */
class Control {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1' });
    this.#socket.on('error', () => undefined); // the loop under test closes it
    this.#lines = createInterface(this.#socket)[Symbol.asyncIterator]();
  }

  async ask(command: 'f' | 'c'): Promise<unknown> {
    this.#socket.write(command);
    const { value } = (await this.#lines.next()) as { readonly value: string };
    return JSON.parse(value);
  }

  end(): void {
    this.#socket.write('s');
  }
}

/** The server's next message. */
function messageOf(server: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown): void => {
      server.off('exit', onExit);
      resolve(message);
    };
    const onExit = (code: number | null, signal: string | null): void =>
      reject(new Error(`the server has ended: ${code ?? signal}`));
    server.once('message', onMessage).once('exit', onExit);
  });
}

export async function runUnderFaults(server: ChildProcess, cell: Cell, timeout = CLIENT_TIMEOUT): Promise<Result> {
  const listening = messageOf(server);
  server.send(cell);
  const { port, control: controlPort } = (await listening) as { readonly port: number; readonly control: number };
  const control = new Control(controlPort);
  const clients = Array.from({ length: EARLY }, (_, i) => new ExactClient(port, i, timeout));
  await control.ask('c');
  const faulty = (await control.ask('f')) as number;
  clients.push(...Array.from({ length: CLIENTS }, (_, i) => new ExactClient(faulty, EARLY + i, timeout)));
  for (const client of clients) client.begin();
  const seen = await Promise.all(clients.map((client) => client.seen));
  const newcomer = new ExactClient(faulty, 100, timeout);
  newcomer.begin();
  const late = await newcomer.seen;
  const before = (await control.ask('c')) as number;
  await new Promise((resolve) => setTimeout(resolve, IDLE));
  const idle = ((await control.ask('c')) as number) - before;
  const ended = messageOf(server);
  control.end();
  return { ...((await ended) as Ended), seen, late, idle };
}

export function startServer(): ChildProcess {
  return fork(join(root, 'test/support/fault-server.cjs'), { execArgv: [] });
}

/** Checks the rules of each outcome. Throws if one is broken. */
function judge({ told, counts, left, seen, late, idle }: Result, outcome: Outcome, error: string): void {
  const injected = counts.reduce((sum, count) => sum + count.injected, 0);
  expect(injected, 'faults injected').toBeGreaterThan(0);
  expect([...seen, late].filter((one) => one === 'wrong bytes')).toEqual([]);
  const lost = [...seen, late].filter((one) => one === 'part').length;
  if (outcome === 'one lost' || outcome === 'refused') {
    expect(lost, 'connections lost').toBe(injected);
    expect(told).toEqual(Array.from({ length: injected }, () => (outcome === 'refused' ? error : `close ${error}`)));
  } else {
    expect(lost, 'connections lost').toBe(0);
    expect(told).toEqual(outcome === 'reported' ? [error] : []);
  }
  expect(late, 'a client that comes afterwards').toBe('all');
  expect(idle, `system calls in ${IDLE} ms without a client`).toBeLessThan(MAX_IDLE);
  expect(left, 'descriptors left').toBe(0);
}

/**
 * A test for each loop, rule and fault. Call it within describe().
 * @param pick the faults of a row that are injected
 * @param onPass called with the name of a cell that has passed: 'reactor, epoll, run()/recv:EINTR@every2'
 */
export function describeFaults(
  pick: (faults: Row['faults']) => Row['faults'],
  onPass: (cell: string) => void = () => undefined,
): void {
  const subjects = MATRIX.map(([subject, rows]) => {
    const missing = completionMechanisms.find(
      ({ mechanism, available }) => mechanism === subject.mechanism && !available,
    );
    return { ...subject, rows, notThere: missing === undefined ? '' : ` — not here: ${missing.why}` };
  });
  describe.each(subjects)('$name$notThere', ({ name, make, mechanism, mode, rows, notThere }) => {
    let server: ChildProcess;
    beforeAll(() => void (server = startServer()));
    afterAll(() => void server.kill('SIGKILL'));

    const cells = rows.flatMap((row) => pick(row.faults).map((fault) => ({ ...row, fault, rule: ruleOf(row, fault) })));
    // A failed cell may still be running.
    afterEach(({ task }) => {
      if (task.result?.state !== 'fail') return;
      server.kill('SIGKILL');
      server = startServer();
    });
    it.skipIf(notThere).each(cells)('$rule: $outcome, $why', async ({ rule, fault, outcome }) => {
      judge(await runUnderFaults(server, { make, mechanism, mode, plan: rule }), outcome, fault);
      onPass(`${name}/${rule}`);
    });
  });
}
