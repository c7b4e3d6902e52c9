/**
 * A quiet client beside flooding clients, on every loop: the work for one connection per turn is bounded. Measured in bytes that the loop
 * serves to the flood between a request of the quiet client and its reply. test/long/fairness.test.ts compares times.
 */
import { describe, expect, it } from 'vitest';
import { type ConnectionHandler, Socket } from '../src/index.js';
import { Bench } from './support/bench.js';
import { CHUNK, LOOPS, TRAFFIC, type Traffic } from './support/fairness.js';

/** Turns from a request to its reply; in each, a flooding client may be served its share. */
const MAX_TURNS = 4;
const ROUNDS = 10;

/** Reads everything that has arrived. */
function drain(client: Socket): string {
  let text = '';
  for (;;) {
    const bytes = client.recv(1 << 20);
    if (bytes === null || bytes.length === 0) return text;
    text += bytes.toString('latin1');
  }
}

/** Sends as much as the kernel accepts, from the last position on. */
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

describe.each(LOOPS)('%s beside a flooding client', (_, unavailable, make) => {
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
                drain(one.client); // its replies: otherwise back-pressure would stop it
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
