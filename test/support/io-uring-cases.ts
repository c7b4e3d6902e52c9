/** Errors of io_uring_enter in a loop that blocks, and in one inside Node's loop. */
import { describe, expect, it } from 'vitest';
import { noRingFaults, withFault } from './strace.js';

/** A loop that uses every event of a stream: echoes 300,000 bytes, ends, closes. Prints the result. */
export const CONVERSATION = `
  const { createHash } = require('node:crypto');
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  const received = [];
  let got = 0;
  const listener = loop.listen({}, { data: (connection, chunk) => void connection.write(chunk) });
  loop.connect(listener.address, {
    open: (connection) => void connection.write(bytes),
    data(connection, chunk) {
      received.push(chunk);
      got += chunk.length;
      if (got >= bytes.length) connection.end();
    },
    close: (_, error) => { console.log(error?.code ?? 'closed'); loop.stop(); },
  });
  loop.run();
  loop.close();
  console.log(Buffer.concat(received).equals(bytes) ? 'the same' : 'other bytes');`;

/** @param cases [name, error, which calls fail in strace's syntax] */
export function describeInterruptedLoop(cases: readonly (readonly [string, string, string])[]): void {
  describe('in a loop that blocks', { concurrent: true }, () => {
    it.skipIf(noRingFaults).each(cases)(
      '%s from io_uring_enter, %s at %s: a loop loses no byte',
      async (_, error, when) => {
        const outcome = await withFault(
          'io_uring_enter',
          `error=${error}:when=${when}`,
          `const loop = new selectors.ProactorLoop();
       ${CONVERSATION}`,
        );
        expect(outcome.stdout, outcome.stderr).toBe('closed\nthe same\n');
        expect(outcome.injected).toBeGreaterThan(2);
      },
    );
  });
}

/** @param whens which calls fail, in strace's syntax: inject=…:when= */
export function describeDeaf(whens: readonly string[]): void {
  describe('inside Node', { concurrent: true }, () => {
    // Call 1 is the probe's; then come the constructor's, and one or two per turn.
    it
      .skipIf(noRingFaults)
      .each(['EAGAIN', 'EBUSY', 'EINTR', 'ENOMEM'].flatMap((error) => whens.map((when) => [error, when])))(
      `U4 U33 %s from io_uring_enter at %s inside Node: the loop still gets its events${noRingFaults}`,
      async (error, when) => {
        const outcome = await withFault(
          'io_uring_enter',
          `error=${error}:when=${when}`,
          `const loop = new selectors.ProactorLoop();
         const listener = loop.listen({}, { data: (connection, chunk) => void connection.write(chunk) });
         const client = require('node:net').connect(listener.address.port, '127.0.0.1');
         let rounds = 0;
         client.on('connect', () => client.write('x'));
         client.on('data', () => {
           if (++rounds < 12) return client.write('x');
           client.destroy();
           loop.stop();
         });
         loop.start().then(() => { loop.close(); console.log(rounds); });`,
        );
        expect(outcome.stdout, outcome.stderr).toBe('12\n');
      },
    );
  });
}
