/** Fault plans with the server models, by command line: each keeps serving, no client misses a byte, and it exits cleanly. */
import { describe, expect, it } from 'vitest';
import { SERVER_MODELS } from '../../src/servers.js';
import { Bench } from '../support/bench.js';
import { ExactClient } from '../support/exact-client.js';
import { startCli } from '../support/program.js';

const notHere = process.platform === 'linux' ? '' : ' — not here: long/fault-matrix.test.ts has Linux’ errors';
/** A client fails after so many milliseconds without data. */
const CLIENT_TIMEOUT = 60_000;
const CLIENTS = 8;

/** Loops on io_uring receive and send without these calls; their accept is submitted once, before a client connects. */
const CALLS = [
  'recv:EINTR@every2, send:EINTR@every3',
  'recv:short=1@every2, send:short=700@every2',
  'accept:ECONNABORTED@2..4, close:EINTR@every2',
  'accept:EMFILE@2..4',
];
const COMPLETIONS = [
  'recv.completion:EINTR@every3, send.completion:EAGAIN@every2',
  'recv.completion:short=1@every2, send.completion:short=700@every2',
  'accept.completion:ECONNABORTED@1..2, close:EINTR@every2',
  'accept.completion:EMFILE@1..2',
];
const models = SERVER_MODELS.filter(({ isAvailable, applications }) => isAvailable && applications.includes('echo'));
/** May reply to one connection's requests out of order: a message received in two parts is two tasks (docs/servers.md). */
const isOutOfOrder = (model: string, plan: string): boolean =>
  model === 'reactor-thread-per-task' && plan.includes('recv:short');
const cells = models.flatMap(({ name }) =>
  (name.endsWith('proactor') ? COMPLETIONS : CALLS)
    .filter((plan) => !isOutOfOrder(name, plan))
    .map((plan) => ({ model: name, plan })),
);

describe.skipIf(notHere)(`server models under faults${notHere}`, () => {
  it.concurrent.each(cells)('$model, $plan', async ({ model, plan }) => {
    using bench = new Bench();
    const server = bench.own(startCli(['serve', model, '--port', '0', '--faults', plan]));
    const [, port] = await server.printed(/listening on \S+:(\d+) /);
    const clients = Array.from({ length: CLIENTS }, (_, i) => new ExactClient(Number(port), i, CLIENT_TIMEOUT));
    for (const client of clients) client.begin();
    expect(await Promise.all(clients.map((client) => client.seen))).toEqual(clients.map(() => 'all'));
    server.process.kill('SIGINT');
    const { code, stdout } = await server.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^fault .*: \d+ calls, \d+ injected$/m);
  });
});
