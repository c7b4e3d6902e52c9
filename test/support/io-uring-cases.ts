/** Errors of io_uring_enter in a program that serves inside Node's loop. */
import { describe, expect, it } from 'vitest';
import { noRingFaults, withFault } from './strace.js';

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
