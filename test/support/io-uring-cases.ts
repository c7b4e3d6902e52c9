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

/** @param faults [name, what io_uring_enter does from its third call on, in strace's syntax] */
export function describeUnresponsive(faults: readonly (readonly [string, string])[]): void {
  // Concurrent: each waits for five seconds.
  describe('close() and a kernel that does nothing', { concurrent: true }, () => {
    it.skipIf(noRingFaults).each(faults)(
      `U27 a kernel that %s does not block close() forever: ETIMEDOUT with the number of operations, and the process goes on${noRingFaults}`,
      async (_, fault) => {
        const outcome = await withFault(
          'io_uring_enter',
          `${fault}:when=3+`,
          `const ring = new syscalls.IoUring(8);
           const [a, b] = selectors.Socket.pair({ blocking: false });
           const [c] = selectors.Socket.pair();
           ring.prepRecv(b, new Uint8Array(10), 0, 1);
           ring.prepPollAdd(c, 1, 2);
           ring.enter();
           const start = performance.now();
           try { ring.close(); } catch (error) { console.log(error.code, /holds (\\d+) operations/.exec(error.message)[1]); }
           const took = performance.now() - start;
           console.log(took >= 4990, ring.closed);
           ring.close();
           gc();
           setTimeout(() => { gc(); a.send('x'); console.log('goes on'); }, 50);`,
          ['--expose-gc'],
        );
        expect(outcome.stdout, outcome.stderr.slice(-500)).toBe('ETIMEDOUT 2\ntrue true\ngoes on\n');
        expect([outcome.code, outcome.signal]).toEqual([0, null]);
      },
    );
  });
}

/** The same for a proactor and a loop. It takes ten seconds. */
export function itClosesUnresponsive(): void {
  it.skipIf(noRingFaults)(
    `U27 close() of a proactor and of a loop does not block either: their operations end, and the process exits cleanly${noRingFaults}`,
    async () => {
      const outcome = await withFault(
        'io_uring_enter',
        'retval=0:when=12+',
        `const proactor = new selectors.IoUringProactor();
       const [a, b] = selectors.Socket.pair();
       const receiving = proactor.recv(b, 10);
       const loop = new selectors.ProactorLoop();
       const listener = loop.listen({}, {});
       for (let i = 0; i < 4; i++) loop.runOnce(1);
       const { IoUring } = native;
       for (let i = 0; i < 12; i++) { const probe = new IoUring(); probe.open(1, 0); probe.enter(0, 0); probe.close(0); }
       for (const one of [proactor, loop]) {
         const start = performance.now();
         try { one.close(); } catch (error) { console.log(error.code, performance.now() - start >= 4990); }
         console.log(one.closed);
       }
       console.log(receiving.pending, receiving.error.code);
       a.send('x');`,
      );
      expect(outcome.stdout, outcome.stderr.slice(-500)).toBe(
        'ETIMEDOUT true\ntrue\nETIMEDOUT true\ntrue\nfalse ECANCELED\n',
      );
      expect([outcome.code, outcome.signal]).toEqual([0, null]);
    },
  );
}
