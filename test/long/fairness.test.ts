/**
 * A quiet client beside flooding clients, with real servers and clients in other processes: its round trips in milliseconds, compared with
 * those of epoll on the same machine at the same time. test/fairness.test.ts counts what a turn serves at most.
 */
import { describe, expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import { LOOPS, TRAFFIC, type Traffic } from '../support/fairness.js';
import { readinessMechanisms } from '../support/mechanisms.js';
import { startCli, startProgram } from '../support/program.js';

/**
 * Two flooding connections and a quiet one, in one process: they get equal shares of the processor. Prints the 99th percentile of the quiet
 * connection's round trips in milliseconds.
 */
const CLIENTS_PROGRAM = `const { connect } = require('node:net');
const { port, flood, request, reply, roundTrips } = JSON.parse(process.env.TRAFFIC);
const closed = (what) => () => {
  console.error('the server closed ' + what);
  process.exit(1);
};
const bytes = Buffer.from(flood, 'latin1');
let received = 0;
for (let i = 0; i < 2; i++) {
  const client = connect(port, '127.0.0.1').on('error', () => undefined).on('close', closed('a flooding client'));
  const go = () => {
    while (client.write(bytes));
  };
  client.on('connect', go).on('drain', go).on('data', (chunk) => {
    if (received < 1 << 20 && (received += chunk.length) >= 1 << 20) measure();
  });
}
function measure() {
  const quiet = connect(port, '127.0.0.1').on('error', () => undefined).on('close', closed('the quiet client'));
  const took = [];
  let got = '';
  let begun = 0;
  const go = () => {
    got = '';
    begun = performance.now();
    quiet.write(request, 'latin1');
  };
  quiet.on('connect', go).on('data', (chunk) => {
    got = got.slice(-100) + chunk.toString('latin1');
    if (!got.includes(reply)) return;
    took.push(performance.now() - begun);
    if (took.length < roundTrips) return go();
    console.log(took.sort((a, b) => a - b)[Math.floor(roundTrips * 0.99)]);
    process.exit(0);
  });
}`;

const ROUND_TRIPS = 200;
/**
 * Attempts before a comparison fails: other programs use the processors, too. If they keep a client from reading for long, the chat server
 * closes it.
 */
const MAX_ATTEMPTS = 5;

const EPOLL = ['reactor', '--mechanism', 'epoll'];

/** @returns the 99th percentile, ms; Infinity if the server closed one of the clients */
async function quietRoundTrip(loop: readonly string[], name: string): Promise<number> {
  using bench = new Bench();
  const { flood, request, reply } = (TRAFFIC[name] as () => Traffic)();
  const server = bench.own(startCli(['serve', ...loop, '--app', name, '--port', '0']));
  const [, port] = await server.printed(/listening on 127\.0\.0\.1:(\d+)/);
  const texts = { flood: flood.toString('latin1'), request: request.toString('latin1'), reply };
  const traffic = JSON.stringify({ port: Number(port), ...texts, roundTrips: ROUND_TRIPS });
  const { stdout, stderr, code } = await bench.own(startProgram(CLIENTS_PROGRAM, [], { TRAFFIC: traffic })).ended;
  if (code === 0) return Number(stdout);
  expect(stderr).toMatch(/^the server closed/);
  return Infinity;
}

const servers = LOOPS.map(([loop, unavailable]) => {
  const [kind, , mechanism] = loop.split(' ') as [string, string, string];
  return [loop, unavailable, [kind, '--mechanism', mechanism]] as const;
});

function reasonNotToCompare(): string {
  if (process.env.SELECTORS_NATIVE_SANITIZED) return ' — not here: what is fast is no question under the sanitizers';
  if (readinessMechanisms.some(({ mechanism, available }) => mechanism === 'epoll' && available)) return '';
  return ' — not here: there is no epoll to compare with';
}
const noComparison = reasonNotToCompare();

describe.skipIf(noComparison !== '')(
  `a quiet client’s 99th percentile beside a flooding one, compared with epoll${noComparison}`,
  () => {
    for (const name of Object.keys(TRAFFIC)) {
      let epoll: number | undefined;
      for (const [loop, unavailable, args] of servers) {
        it.skipIf(unavailable !== undefined || loop === 'reactor on epoll')(
          `${name}, ${loop}: at most three times as long`,
          async () => {
            const ratios: number[] = [];
            while (ratios.every((ratio) => ratio > 3) && ratios.length < MAX_ATTEMPTS) {
              epoll = (ratios.length === 0 ? epoll : undefined) ?? (await quietRoundTrip(EPOLL, name));
              const took = await quietRoundTrip(args, name);
              ratios.push(epoll === Infinity ? Infinity : took / epoll);
            }
            console.log(`${name}, ${loop}: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')} times epoll’s`);
            expect(ratios.at(-1)).toBeLessThanOrEqual(3);
          },
        );
      }
    }
  },
);
