/** Completion ports (Windows): the calls, the proactor over them, and operations whose completion is never read. */
import { describe, expect, it } from 'vitest';
import { availableMechanisms } from '../src/index.js';
import { lacksOfSystem } from './contract/capabilities.js';
import { iocpCases } from './contract/iocp.js';
import { Bench } from './support/bench.js';
import { answerOf, programText, runProgram } from './support/program.js';
import { runCases } from './support/run-cases.js';

const row = availableMechanisms().find(({ mechanism }) => mechanism === 'iocp');

describe.each(Object.entries(iocpCases))('iocp: %s', (_, cases) => {
  if (row?.available === true) runCases(cases, lacksOfSystem(), () => ({ bench: new Bench() }));
  else it.skip(`not run: ${row?.why}`, () => undefined);
});

describe.skipIf(row?.available !== true)('iocp: abandoned operations', () => {
  it('I12 I27 ports are dropped with pending operations while the collector runs', async () => {
    const outcome = runProgram(
      `const { Socket, IocpProactor } = selectors;
       const sockets = [];
       for (let i = 0; i < 200; i++) {
         const [a, b] = Socket.pair({ blocking: false });
         const proactor = new IocpProactor(), port = new syscalls.Iocp();
         for (let j = 0; j < 5; j++) proactor.recv(a, 1000 * j);
         port.associate(b, 1);
         for (let j = 0; j < 5; j++) port.wsaRecv(b, new Uint8Array(1000 * j));
         if (i % 3 === 0) a.send('x');
         if (i % 5 === 0) b.close();
         if (i % 7 === 0) proactor.close();
         sockets.push(a, b);
         if (i % 20 === 0) gc();
       }
       setTimeout(() => {
         gc();
         for (const socket of sockets) socket.close();
         console.log(JSON.stringify('survived'));
       }, 100);`,
      ['--expose-gc'],
    );
    expect(await answerOf(outcome)).toBe('survived');
  });

  it('I28 a worker ends with pending operations, blocked in a wait, or in a wait beside its loop', async () => {
    const inWorker = (wait: string) =>
      programText(
        `const { Socket, IocpProactor } = selectors;
         const [a, b] = Socket.pair({ blocking: false });
         const listener = new Socket().bind({ host: '127.0.0.1', port: 0 }).listen();
         const proactor = new IocpProactor();
         proactor.recv(a, 100); proactor.recv(b, 100); proactor.accept(listener);
         require('node:worker_threads').parentPort.postMessage('ready');
         ${wait}`,
      );
    const waits = ['proactor.wait()', 'proactor.waitAsync()', 'setInterval(() => 0, 50)', 'for (;;) proactor.wait(0)'];
    const outcome = runProgram(
      `const { Worker } = require('node:worker_threads');
       (async () => {
         for (const text of ${JSON.stringify(waits.map(inWorker))}) {
           for (let i = 0; i < 3; i++) {
             const worker = new Worker(text, { eval: true });
             await new Promise((resolve) => worker.once('message', resolve));
             await new Promise((resolve) => setTimeout(resolve, 10 * i));
             await worker.terminate();
           }
         }
         console.log(JSON.stringify('survived'));
       })();`,
    );
    expect(await answerOf(outcome)).toBe('survived');
  });

  it('I29 a connection that a dropped proactor has accepted, and nobody collected, is closed', async () => {
    const outcome = runProgram(
      `const { Socket, IocpProactor } = selectors;
       const client = new Socket();
       (() => {
         // Dropped too: a socket references the proactor whose operations are cancelled before it closes.
         const listener = new Socket().bind({ host: '127.0.0.1', port: 0 }).listen();
         const proactor = new IocpProactor();
         proactor.accept(listener);
         proactor.accept(listener);
         client.connect(listener.localAddress);
       })();
       client.blocking = false;
       const deadline = Date.now() + 10_000;
       const look = () => {
         gc();
         const received = client.recv(8);
         if (received === null && Date.now() < deadline) setTimeout(look, 20);
         else console.log(JSON.stringify(received?.length ?? 'still open'));
       };
       setTimeout(look, 20);`,
      ['--expose-gc'],
    );
    expect(await answerOf(outcome)).toBe(0);
  });
});
