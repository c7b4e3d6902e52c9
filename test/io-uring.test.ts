/** io_uring: the calls, the streams of a loop on it, and the refusals of the kernel. */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { IoUringProactor, ProactorLoop, Socket } from '../src/index.js';
import { IoUring } from '../src/syscalls.js';
import { lacksOfProactor } from './contract/capabilities.js';
import { nativeStreamCases, ringCases, ringLoopCases } from './contract/io-uring.js';
import { Bench } from './support/bench.js';
import { completionMechanisms } from './support/mechanisms.js';
import { Program, cli, programText, runProgram } from './support/program.js';
import { runCases } from './support/run-cases.js';
import { CONVERSATION, describeDeaf, describeInterruptedLoop, describeUnresponsive } from './support/io-uring-cases.js';
import { callsOfNode, noRingFaults, noStrace, withFault } from './support/strace.js';

const row = completionMechanisms.find(({ mechanism }) => mechanism === 'io_uring');
const lacks = lacksOfProactor('io_uring');

describe('io_uring, the calls', () => {
  if (row?.available !== true) {
    it.skip(`not run: ${row?.why}`, () => undefined);
    return;
  }
  runCases([...ringCases, ...nativeStreamCases], lacks, () => {
    const bench = new Bench();
    return { bench, ring: (entries?: number) => bench.own(new IoUring(entries)) };
  });
  runCases(ringLoopCases, lacks, () => {
    const bench = new Bench();
    const loop = (onError?: (error: unknown) => void) =>
      bench.own(new ProactorLoop({ proactor: new IoUringProactor(), ...(onError && { onError }) }));
    return { bench, loop };
  });
});

// Concurrent: each test runs its own process, and some wait for five seconds.
describe.skipIf(noStrace)(`io_uring, refusals of the kernel${noStrace}`, { concurrent: true }, () => {
  it.each(['EPERM', 'ENOSYS', 'EACCES'])(
    'U28 io_uring_setup fails with %s: the class reports it, and the loop uses the emulation',
    async (error) => {
      const { stdout, stderr, code } = await withFault(
        'io_uring_setup',
        `error=${error}`,
        `
        for (const Class of [selectors.IoUringProactor, syscalls.IoUring]) {
          try { new Class(); } catch (error) { console.log(error.code, error.cause.code, error.message.includes('${error}')); }
        }
        try { selectors.createProactor('io_uring'); } catch (error) { console.log(error.code); }
        const { available, why } = selectors.availableMechanisms().find(({ mechanism }) => mechanism === 'io_uring');
        console.log(selectors.IoUringProactor.isAvailable, available, why.replace(/ \\(kernel.*?\\)/, ''));
        const proactor = new selectors.DefaultProactor();
        console.log(proactor.mechanism, proactor.isNative);
        proactor.close();
        const loop = new selectors.ProactorLoop();
        console.log(loop.mechanism);
        ${CONVERSATION}`,
      );
      expect(stdout.split('\n')).toEqual([
        `ERR_UNAVAILABLE ${error} true`,
        `ERR_UNAVAILABLE ${error} true`,
        'ERR_UNAVAILABLE',
        `false false io_uring_setup failed: ${error} (${constants.errno[error as 'EPERM']})`,
        'emulated:epoll false',
        'emulated:epoll',
        'closed',
        'the same',
        '',
      ]);
      expect([code, stderr.includes('Error')]).toEqual([0, false]);
    },
  );

  it('U28 ENOMEM for a later ring: the default is the emulation, and the class names RLIMIT_MEMLOCK', async () => {
    const ofNode = await callsOfNode('io_uring_setup');
    const outcome = await withFault(
      'io_uring_setup',
      `error=ENOMEM:when=${ofNode + 3}+`, // call 1 is the probe's, call 2 the first proactor's
      `const first = new selectors.DefaultProactor();
       const second = new selectors.DefaultProactor();
       const third = new selectors.ProactorLoop();
       console.log(first.mechanism, second.mechanism, third.mechanism, second instanceof selectors.EmulatedProactor);
       try { new selectors.IoUringProactor(); } catch (error) { console.log(error.code); }
       for (const one of [first, second, third]) one.close();`,
    );
    expect(outcome.stdout, outcome.stderr).toBe('io_uring emulated:epoll emulated:epoll true\nENOMEM\n');
  });

  it('close() unmaps the rings at once, also in a program that blocks and never returns to Node’s loop', async () => {
    const { stdout, code } = await runProgram(
      `const { readFileSync } = require('node:fs');
       const rings = () => readFileSync('/proc/self/maps', 'utf8').split('io_uring').length;
       const once = () => {
         const loop = new selectors.ProactorLoop({ proactor: new selectors.IoUringProactor() });
         const [a, b] = selectors.Socket.pair();
         loop.adopt(b, { data: () => loop.stop() });
         a.send('x');
         loop.run();
         loop.close();
         a.close();
       };
       once();
       const before = rings();
       for (let i = 0; i < 100; i++) once();
       console.log(rings() - before);`,
    );
    expect([stdout, code]).toEqual(['0\n', 0]);
  });

  it('close() frees the memory of the receive buffers at once, also in a program that blocks', async () => {
    const { stdout, code } = await runProgram(
      `const { readFileSync } = require('node:fs');
       const mebibytes = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
       const message = Buffer.alloc(1 << 18, 'x');
       const once = () => {
         const loop = new selectors.ProactorLoop({ proactor: new selectors.IoUringProactor() });
         const [a, b] = selectors.Socket.pair();
         a.blocking = false;
         let received = 0;
         const data = (connection, chunk) => void (received += chunk.length);
         loop.adopt(b, { data, borrowsChunks: true });
         // More than all buffers hold: every buffer is used.
         while (received < 24 << 20) {
           a.send(message);
           loop.runOnce(100);
         }
         const open = mebibytes();
         loop.close();
         a.close();
         return open - mebibytes();
       };
       once();
       const before = mebibytes();
       const returned = Array.from({ length: 20 }, once);
       console.log(Math.min(...returned) > 12, mebibytes() - before < 100);`,
    );
    expect([stdout, code]).toEqual(['true true\n', 0]);
  });

  it('U28 the command line gives the reason', async () => {
    const faults = ['-qq', '-e', 'trace=io_uring_setup', '-e', 'inject=io_uring_setup:error=EPERM'];
    const { stdout, code } = await new Program('strace', [...faults, process.execPath, cli, 'info']).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/io_uring.*EPERM/);
  });

  it.each([
    ['has no room for all of them (a deferred ring)', '2'],
    ['is before 5.19', '2..3'],
  ])('U29 a kernel that %s: the ring is set up the older way', async (_, when) => {
    const outcome = await withFault(
      'io_uring_setup',
      `error=EINVAL:when=${when}`,
      `const loop = new selectors.ProactorLoop({ proactor: new selectors.IoUringProactor() });
       console.log(loop.mechanism);
       ${CONVERSATION}
       const ring = new syscalls.IoUring(4);
       const [a, b] = selectors.Socket.pair();
       for (let i = 0; i < 20; i++) ring.prepNop(i);
       ring.prepRecv(b, new Uint8Array(4), 0, 20);
       a.send('x');
       let count = 0;
       while (count < 21) { ring.enter(1, 1000); count += ring.completions().length; }
       console.log(count);`,
    );
    expect(outcome.stdout).toBe('io_uring\nclosed\nthe same\n21\n');
    expect(outcome.injected).toBe(when === '2' ? 1 : 2);
  });

  it('U29 all rings the oldest way: single operations of every kind, and their cancelling', async () => {
    // Calls 1 and 2 of 3 fail: the third is the oldest setup.
    const outcome = await withFault(
      'io_uring_setup',
      'error=EINVAL:when=2..3',
      `const proactor = new selectors.IoUringProactor();
       const [a, b] = selectors.Socket.pair();
       const operations = [proactor.recv(b, 10), proactor.send(a, 'x'), proactor.timeout(5), proactor.recv(a, 1)];
       operations[3].cancel();
       while (operations.some(({ pending }) => pending)) proactor.wait(1000);
       console.log(operations.map(({ result, error }) => error?.code ?? String(result)).join());
       proactor.recv(b, 10);
       proactor.close();`,
    );
    expect(outcome.stdout).toBe('x,1,undefined,ECANCELED\n');
  });

  it('U29 a kernel without buffer rings: the loop uses single operations', async () => {
    const outcome = await withFault(
      'io_uring_register',
      'error=EINVAL:when=2+', // the first call is the probe's
      `const loop = new selectors.ProactorLoop();
       console.log(loop.mechanism);
       ${CONVERSATION}`,
    );
    expect(outcome.stdout).toBe('io_uring\nclosed\nthe same\n');
    expect(outcome.injected).toBeGreaterThan(0);
  });

  describeInterruptedLoop([
    ['U33 EINTR', 'EINTR', '2+2'],
    ['U4 EAGAIN', 'EAGAIN', '3..40'],
    ['U4 EBUSY', 'EBUSY', '3+2'],
  ]);
  describeDeaf(['2+2']);

  it.each(['EINTR', 'EAGAIN'])(
    'U33 U4 %s in every other io_uring_enter: a wait is neither shorter nor longer',
    async (error) => {
      const outcome = await withFault(
        'io_uring_enter',
        `error=${error}:when=2+2`,
        `const proactor = new selectors.IoUringProactor();
       for (const ms of [50, 200]) {
         const start = performance.now();
         while (proactor.wait(ms).length > 0);
         const took = performance.now() - start;
         console.log(took >= ms && took < ms + 20_000);
       }
       const timeout = proactor.timeout(30);
       console.log(proactor.wait(5000)[0] === timeout, timeout.error?.code);
       proactor.close();`,
      );
      expect(outcome.stdout).toBe('true\ntrue\ntrue undefined\n');
    },
  );

  it.skipIf(noRingFaults)(`U4 EBADR: a completion was lost, and run() fails with it${noRingFaults}`, async () => {
    const outcome = await withFault(
      'io_uring_enter',
      'error=EBADR:when=5+',
      `const loop = new selectors.ProactorLoop();
       const again = () => void loop.callLater(1, again);
       again();
       try { loop.run(); } catch (error) { console.log(error.code, error.syscall); }
       try { loop.close(); } catch (error) { console.log(error.code); }
       const ring = new syscalls.IoUring(2);
       ring.prepNop(1);
       try { ring.enter(); } catch (error) { console.log(error.code, error.syscall); }`,
    );
    expect(outcome.stdout).toBe('EBADR io_uring_enter\nETIMEDOUT\nEBADR io_uring_enter\n');
    expect(outcome.code).toBe(0);
  });

  it('U4 EAGAIN, raw: enter() fails with it, and the next call submits the prepared entries', async () => {
    const outcome = await withFault(
      'io_uring_enter',
      'error=EAGAIN:when=2', // the first call is the probe's
      `const ring = new syscalls.IoUring(2);
       ring.prepNop(1);
       ring.prepNop(2);
       try { ring.enter(); } catch (error) { console.log(error.code, error.syscall); }
       console.log(ring.enter(2, 1000), ring.completions().map(({ userData }) => userData).join());
       ring.close();`,
    );
    expect(outcome.stdout).toBe('EAGAIN io_uring_enter\n2 1,2\n');
  });

  describeUnresponsive([['does nothing', 'retval=0']]);
});

describe.skipIf(row?.available !== true)('io_uring, a process without free descriptors', () => {
  it('U24 accept is EMFILE: it is reported once, the loop does not spin, and waiting clients are served when a descriptor is free', async () => {
    using bench = new Bench();
    const program = bench.own(
      new Program('sh', [
        '-c',
        'ulimit -n 48; exec "$0" "$@"',
        process.execPath,
        '-e',
        programText(`
          const { writeSync } = require('node:fs');
          const say = (text) => writeSync(1, text + '\\n');
          const loop = new selectors.ProactorLoop({ onError: ({ code, syscall }) => say(code + ' ' + syscall) });
          const listener = loop.listen({ backlog: 100 }, { data: (connection, chunk) => void connection.write(chunk) });
          say('port ' + listener.address.port);
          loop.onSignal('SIGUSR2', () => {
            const { user, system } = process.cpuUsage();
            say('busy ' + (user + system) / 1000);
          });
          loop.run();`),
      ]),
    );
    const port = Number((await program.printed(/port (\d+)/))[1]);
    const clients = Array.from({ length: 60 }, () => {
      const client = bench.own(new Socket());
      client.connect({ host: '127.0.0.1', port });
      client.send('hello');
      client.blocking = false;
      return client;
    });
    const waiting = new Set(clients);
    const answered = () => {
      for (const client of waiting) if (client.recv(10)?.toString() === 'hello') waiting.delete(client);
      return clients.length - waiting.size;
    };
    await program.printed(/EMFILE accept/);
    while (answered() < 10) await sleep(5);
    const busy = async (times: number) => {
      program.process.kill('SIGUSR2');
      await program.printed(new RegExp(`(busy.*\\n[^]*){${times}}`));
      return Number(/busy ([\d.]+)\n[^b]*$/.exec(program.stdout)?.[1]);
    };
    const before = await busy(1);
    await sleep(700);
    expect((await busy(2)) - before).toBeLessThan(300);
    expect(answered()).toBeLessThan(48);
    const reports = (): number => program.stdout.match(/EMFILE/g)?.length ?? 0;
    expect(reports()).toBe(1);
    while (waiting.size > 0) {
      for (const client of clients) if (!waiting.has(client)) client.close();
      await sleep(20);
      answered();
    }
    // One more each time that clients have left and more have come than there was room for.
    expect(reports()).toBeLessThan(clients.length);
    expect(program.process.exitCode).toBe(null);
  });
});

/** Starts one operation of each kind that stays pending. */
const IN_FLIGHT = `
  const { spawnSync } = require('node:child_process');
  const { openSync } = require('node:fs');
  const pair = () => selectors.Socket.pair();
  const listening = (type) => {
    const socket = new selectors.Socket({ type }).bind({ host: '127.0.0.1', port: 0 });
    return type === 'stream' ? socket.listen() : socket;
  };
  const fifo = require('node:path').join(require('node:fs').mkdtempSync('/tmp/selectors-native-'), 'fifo');
  spawnSync('mkfifo', [fifo]);
  const pipe = openSync(fifo, 'r+');
  require('node:fs').rmSync(require('node:path').dirname(fifo), { recursive: true });
  const proactor = new selectors.IoUringProactor();
  const keep = [pair(), pair(), pair()];
  const operations = [
    proactor.recv(keep[0][0], 100), proactor.recvInto(keep[0][1], new Uint8Array(10)),
    proactor.accept(listening('stream')), proactor.recvFrom(listening('dgram'), 100),
    proactor.timeout(1e6), proactor.read(pipe, 10, 0),
    proactor.send(keep[1][0], Buffer.alloc(16 << 20)), proactor.send(keep[1][0], Buffer.alloc(16 << 20)),
  ];
  const ring = new syscalls.IoUring();
  ring.prepRecv(keep[2][0], new Uint8Array(10), 0, 1);
  ring.prepTimeout(1e6, 2);
  ring.enter();
  ring.prepRecv(keep[2][0], new Uint8Array(10), 0, 3);
  const loop = new selectors.ProactorLoop({ proactor: new selectors.IoUringProactor() });
  const server = loop.listen({}, {});
  loop.connect(server.address, { open: (connection) => void connection.write(Buffer.alloc(16 << 20)) });
  for (let i = 0; i < 5; i++) loop.runOnce(5);
  require('node:fs').writeSync(1, operations.filter(({ pending }) => pending).length + ' in flight\\n');
`;

describe.skipIf(row?.available !== true)(
  'io_uring, a program that ends with operations of every kind in flight',
  { concurrent: true },
  () => {
    it.each([
      ['process.exit()', 'process.exit(7);', 7],
      ['normal exit', '', 0],
      ['an uncaught error', "throw new Error('mine');", 1],
      ['an uncaught error, later', "setTimeout(() => { throw new Error('mine'); }, 10);", 1],
      ['all objects unreferenced and collected', 'setTimeout(() => { gc(); gc(); setTimeout(gc, 10); }, 1);', 0],
      ['while the loop is started', 'loop.start(); setTimeout(() => process.exit(3), 20);', 3],
      ['while waitAsync() is pending', 'proactor.waitAsync(); setTimeout(() => process.exit(4), 20);', 4],
    ])('%s', async (_, ending, expected) => {
      const { stdout, stderr, code, signal } = await runProgram(`${IN_FLIGHT}\n${ending}`, ['--expose-gc']);
      expect(stdout, stderr).toMatch(/^[78] in flight\n$/);
      expect([code, signal], stderr).toEqual([expected, null]);
      if (expected !== 1) expect(stderr).toBe('');
    });

    it('worker.terminate(), and a worker’s own end: leave no descriptor open', async () => {
      const { stdout, stderr, code, signal } = await runProgram(`
      const { Worker } = require('node:worker_threads');
      const { readdirSync } = require('node:fs');
      const open = () => readdirSync('/proc/self/fd').length;
      const program = ${JSON.stringify(programText(IN_FLIGHT))} + \`
        const { parentPort, workerData } = require('node:worker_threads');
        parentPort.postMessage('ready');
        if (workerData === 'waits') proactor.wait();
        if (workerData === 'turns') loop.run();
        if (workerData === 'stays') setInterval(() => undefined, 1000);
        if (workerData === 'throws') throw new Error('mine');
      \`;
      (async () => {
        let before = 0;
        for (let round = 0; round < 3; round++) {
          for (const workerData of ['waits', 'turns', 'stays', 'throws', 'ends']) {
            const worker = new Worker(program, { eval: true, workerData, stdout: true });
            worker.on('error', () => undefined);
            const exited = new Promise((resolve) => worker.once('exit', resolve));
            await new Promise((resolve) => worker.once('message', resolve));
            if (workerData !== 'throws' && workerData !== 'ends') await worker.terminate();
            await exited;
          }
          if (round === 0) before = open();
        }
        console.log(open() - before);
      })();`);
      expect([stdout.replace(/. in flight\n/g, ''), code, signal], stderr).toEqual(['0\n', 0, null]);
    });
  },
);
