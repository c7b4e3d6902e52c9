/**
 * A quiet client beside clients that flood, on every loop: what one connection gets in a turn is bounded. Counted in bytes that the loop
 * has served to the flood between a request of the quiet client and its reply; and, of real servers with clients in other processes, in
 * milliseconds compared with those of epoll.
 */
import { describe, expect, it } from 'vitest';
import { type ConnectionHandler, type EventLoop, ProactorLoop, Reactor, Socket, createProactor } from '../src/index.js';
import { createSelector } from '../src/index.js';
import { chat } from '../src/servers/applications/chat.js';
import { echo } from '../src/servers/applications/echo.js';
import { frame } from '../src/servers/applications/framing.js';
import { rpc } from '../src/servers/applications/rpc.js';
import { Bench } from './support/bench.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';
import { startCli, startProgram } from './support/program.js';

const CHUNK = 65_536;
/** Turns from a request to its reply, in each of which a flooding client may be served its share. */
const MAX_TURNS = 4;
const ROUNDS = 10;

interface Traffic {
  readonly application: ConnectionHandler;
  /** What a flooding client sends, over and over again. */
  readonly flood: Buffer;
  readonly request: string | Buffer;
  /** The end of the reply to it. */
  readonly reply: string;
}

const TRAFFIC: Readonly<Record<string, () => Traffic>> = {
  echo: () => ({ application: echo(), flood: Buffer.alloc(CHUNK, 'z'), request: 'q', reply: 'q' }),
  rpc: () => ({
    application: rpc(),
    flood: Buffer.concat(
      Array.from({ length: 20 }, () => frame(JSON.stringify({ in: 'ping', params: 'z'.repeat(2000) }))),
    ),
    request: frame(JSON.stringify({ in: 'ping', params: 'quiet' })),
    reply: '"quiet"}',
  }),
  chat: () => ({
    application: chat(),
    flood: Buffer.from(`${JSON.stringify({ user: 'flood', text: 'z'.repeat(2000) })}\n`.repeat(20)),
    request: `${JSON.stringify({ user: 'quiet', text: 'q' })}\n`,
    reply: '[quiet] q\n',
  }),
};

const LOOPS: readonly (readonly [name: string, unavailable: string | undefined, make: () => EventLoop])[] = [
  ...readinessMechanisms.map(
    ({ mechanism, available, why }) =>
      [
        `reactor on ${mechanism}`,
        available ? undefined : why,
        () => new Reactor({ selector: createSelector(mechanism) }),
      ] as const,
  ),
  ...proactorRows.map(
    ({ mechanism, create, why }) =>
      [
        `proactor on ${mechanism}`,
        create === undefined ? why : undefined,
        () => new ProactorLoop({ proactor: createProactor(mechanism) }),
      ] as const,
  ),
];

/** Everything that has arrived. */
function drain(client: Socket): string {
  let text = '';
  for (;;) {
    const bytes = client.recv(1 << 20);
    if (bytes === null || bytes.length === 0) return text;
    text += bytes.toString('latin1');
  }
}

/** Sends as much as the kernel takes, from where it stopped last. */
class Flood {
  #at = 0;
  constructor(
    readonly client: Socket,
    readonly bytes: Buffer,
  ) {}
  go(): void {
    for (;;) {
      const sent = this.client.send(this.bytes.subarray(this.#at));
      if (sent === null) return;
      this.#at = (this.#at + sent) % this.bytes.length;
    }
  }
}

describe.each(LOOPS)('%s beside a flood', (_, unavailable, make) => {
  for (const name of Object.keys(TRAFFIC)) {
    for (const floods of [1, 2]) {
      it.skipIf(unavailable !== undefined)(
        `${name}: a quiet client waits for a few chunks of ${floods} flooding`,
        () => {
          using bench = new Bench();
          const { application, flood, request, reply } = (TRAFFIC[name] as () => Traffic)();
          let served = 0;
          const loop = bench.own(make());
          const closed: unknown[] = [];
          const handler: ConnectionHandler = {
            ...application,
            data(connection, chunk) {
              served += chunk.length;
              application.data?.(connection, chunk);
            },
            close(connection, error) {
              closed.push(error);
              application.close?.(connection, error);
            },
          };
          const listener = loop.listen({}, handler);
          const connect = (): Socket => {
            const client = bench.own(new Socket());
            client.connect(listener.address);
            client.blocking = false;
            return client;
          };
          const quiet = connect();
          const flooding = Array.from({ length: floods }, () => new Flood(connect(), flood));
          while (listener.connections < floods + 1) loop.runOnce(100);
          const waited: number[] = [];
          for (let round = 0; round < ROUNDS; round++) {
            for (const one of flooding) one.go();
            quiet.send(request);
            served = 0;
            let got = '';
            for (let turns = 0; turns < 1000; turns++) {
              loop.runOnce(10);
              for (const one of flooding) {
                drain(one.client); // its replies: it would be held back
                one.go();
              }
              got = got.slice(-100) + drain(quiet);
              if (got.includes(reply)) break;
            }
            expect(got).toContain(reply);
            waited.push(served);
          }
          expect(Math.max(...waited)).toBeLessThanOrEqual(floods * MAX_TURNS * CHUNK + CHUNK);
          expect(closed).toEqual([]);
        },
      );
    }
  }
});

/**
 * Two connections that flood and a quiet one, in one process: the quiet one gets the processor as often as those do. Prints the 99th
 * percentile of the quiet one's round trips in milliseconds.
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
 * So often is a comparison made before it counts as lost: other programs have the processors, too. Where they keep the clients from reading
 * for long, the chat closes those.
 */
const ATTEMPTS = 5;

const EPOLL = ['reactor', '--mechanism', 'epoll'];

/** Infinity: the server has closed one of the clients. */
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
  `a quiet client’s 99th percentile beside a flood, compared with epoll${noComparison}`,
  () => {
    for (const name of Object.keys(TRAFFIC)) {
      let epoll: number | undefined;
      for (const [loop, unavailable, args] of servers) {
        it.skipIf(unavailable !== undefined || loop === 'reactor on epoll')(
          `${name}, ${loop}: at most three times as long`,
          { timeout: 300_000 },
          async () => {
            const ratios: number[] = [];
            while (ratios.every((ratio) => ratio > 3) && ratios.length < ATTEMPTS) {
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
