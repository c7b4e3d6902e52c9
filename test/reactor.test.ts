/** The reactor in real processes: signals, system limits, memory, process exit. Mostly POSIX. */
import { spawnSync } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Connection, PollSelector, Reactor, Socket, createSelector } from '../src/index.js';
import { Bench } from './support/bench.js';
import { Program, programText, runProgram, startCli, startProgram } from './support/program.js';
import { noStrace, withFault } from './support/strace.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { until } from './support/servers.js';

const mechanisms = readinessMechanisms.filter(({ available }) => available).map(({ mechanism }) => mechanism as string);
const noSignals = process.platform === 'win32' ? ' — not here: Windows has no signals to send' : '';
const notLinux = process.platform === 'linux' ? '' : ' — not here: needs Linux’s /proc';
const isSanitized = process.env.SELECTORS_NATIVE_SANITIZED === '1';
const noFigures = isSanitized ? ' — not here: the sanitizers allocate memory themselves' : notLinux;

const ECHO = '{ data: (connection, chunk) => void connection.write(chunk) }';

function connectTo(bench: Bench, port: number): Socket {
  const socket = bench.own(new Socket());
  socket.connect({ host: '127.0.0.1', port });
  socket.timeout = 20_000;
  return socket;
}

describe.skipIf(noSignals)(`onSignal${noSignals}`, () => {
  it.each(mechanisms)(
    'R22 R23 %s: ends a blocking run(), in which a handler of Node is not called',
    async (mechanism) => {
      const program = startProgram(`
      const { writeSync } = require('node:fs');
      const loop = new selectors.Reactor({ selector: selectors.createSelector('${mechanism}') });
      let byNode = 0;
      process.on('SIGINT', () => byNode++);
      loop.onSignal('SIGINT', () => { writeSync(1, 'caught, Node ' + byNode + '\\n'); loop.stop(); });
      loop.listen({}, ${ECHO});
      writeSync(1, 'running\\n');
      loop.run();
      loop.close();
      setTimeout(() => { writeSync(1, 'then Node ' + byNode + '\\n'); process.exit(); }, 50);
    `);
      await program.printed(/running/);
      await sleep(30);
      program.process.kill('SIGINT');
      expect(await program.ended).toMatchObject({
        code: 0,
        stdout: 'running\ncaught, Node 0\nthen Node 1\n',
        stderr: '',
      });
    },
  );

  it('inside Node’s loop; several callbacks; several signals before a turn count as one; afterwards the default action is back', async () => {
    const program = startProgram(`
      const { writeSync } = require('node:fs');
      const loop = new selectors.Reactor();
      const say = (text) => writeSync(1, text + '\\n');
      const watches = ['first', 'second'].map((name) => loop.onSignal('SIGUSR2', () => say(name)));
      const terminate = loop.onSignal('SIGTERM', () => {
        say('SIGTERM');
        for (const watch of [...watches, terminate]) watch[Symbol.dispose]();
        terminate[Symbol.dispose]();
        say('released');
      });
      loop.start();
      for (let i = 0; i < 3; i++) process.kill(process.pid, 'SIGUSR2');
      say('running');
    `);
    await program.printed(/first\nsecond\n/);
    program.process.kill('SIGTERM');
    await program.printed(/released/);
    program.process.kill('SIGTERM');
    const { stdout, signal } = await program.ended;
    expect(signal).toBe('SIGTERM');
    expect(stdout).toBe('running\nfirst\nsecond\nSIGTERM\nreleased\n');
  });

  it('in a worker, which has no signals of Node; and two loops both get the same signal', async () => {
    const program = startProgram(
      `
      const { Worker, isMainThread } = require('node:worker_threads');
      const { writeSync } = require('node:fs');
      const body = (name) => \`
        const selectors = require(\${JSON.stringify(require.resolve(process.env.ENTRY))});
        const { writeSync } = require('node:fs');
        const loop = new selectors.Reactor();
        loop.onSignal('SIGUSR2', () => { writeSync(1, '\${name} heard\\\\n'); loop.stop(); });
        writeSync(1, '\${name} runs\\\\n');
        loop.run();
        loop.close();\`;
      for (const name of ['one', 'two']) new Worker(body(name), { eval: true });
    `.replace('process.env.ENTRY', JSON.stringify(`${process.cwd()}/dist/index.js`)),
    );
    await program.printed(/runs\n.*runs\n/s);
    await sleep(50);
    program.process.kill('SIGUSR2');
    const { stdout, code } = await program.ended;
    expect(code).toBe(0);
    expect(
      stdout
        .split('\n')
        .filter((line) => line.endsWith('heard'))
        .sort(),
    ).toEqual(['one heard', 'two heard']);
  });

  const KILL = 'process.kill(process.pid, "SIGUSR2");';
  it.each([
    ['a handler of Node’s comes', 'process.on("SIGUSR2", () => {});', KILL],
    ['one comes and goes', 'const h = () => {}; process.on("SIGUSR2", h); process.off("SIGUSR2", h);', KILL],
    ['somebody selects on the loop’s selector', `${KILL} loop.selector.select(0);`, ''],
  ])('R22 %s meanwhile: the loop still gets the signal, started or blocking', async (_, meanwhile, inNextTurn) => {
    for (const how of ['start', 'run']) {
      const { stdout, signal, code } = await runProgram(`
        const loop = new selectors.Reactor();
        let heard = 0;
        loop.onSignal('SIGUSR2', () => heard++);
        loop.callSoon(() => {
          ${meanwhile}
          loop.callSoon(() => { ${inNextTurn} });
        });
        const look = () => {
          if (heard === 0) return loop.callLater(1, look);
          console.log(heard);
          loop.close();
          process.exit();
        };
        look();
        loop.${how}();
      `);
      expect({ stdout, signal, code }).toEqual({ stdout: '1\n', signal: null, code: 0 });
    }
  });

  it('R22 SIGCHLD of a child that Node starts is reported, though libuv handles that signal', async () => {
    const { stdout } = await runProgram(`
      const loop = new selectors.Reactor();
      loop.onSignal('SIGCHLD', () => { console.log('heard'); loop.stop(); });
      loop.callSoon(() => require('node:child_process').spawn('true'));
      loop.run();
      loop.close();
    `);
    expect(stdout).toBe('heard\n');
  });

  it('unknown signals, and signals that cannot be handled, are refused', async () => {
    const { stdout } = await runProgram(`
      const loop = new selectors.Reactor();
      const codes = ['SIGKILL', 'SIGSTOP', 'SIGSEGV', 'SIGNONE', 'toString', 2, null].map((signal) => {
        try { loop.onSignal(signal, () => {}); return 'none'; } catch (error) { return error.code; }
      });
      console.log(codes.join());
      loop.close();
    `);
    const [value, type] = ['ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE'];
    expect(stdout.trim()).toBe([value, value, value, value, value, type, type].join());
  });

  it.each([
    ['blocking', ['--verbose']],
    ['inside Node', ['--verbose', '--inside-node']],
  ])(
    'kill -INT of a server, %s: the listener is closed, all buffered bytes arrive, exit code 0',
    async (_, options) => {
      using bench = new Bench();
      const program = bench.own(startCli(['serve', 'reactor', '--port', '0', ...options]));
      const port = Number((await program.printed(/listening on 127\.0\.0\.1:(\d+)/))[1]);
      const client = connectTo(bench, port);
      const idle = connectTo(bench, port);
      // More than the kernel's buffers hold: a part stays queued in the server.
      client.blocking = false;
      let sent = 0;
      for (let refused = 0; refused < 50;) {
        const took = client.send(Buffer.alloc(65_536, 'x'));
        sent += took ?? 0;
        if (took === null) {
          refused++;
          await sleep(2);
        }
      }
      program.process.kill('SIGINT');
      await until('the listener is closed', () => {
        try {
          connectTo(bench, port).close();
          return false;
        } catch (error) {
          expect((error as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
          return true;
        }
      });
      client.timeout = 20_000;
      let got = 0;
      for (;;) {
        const bytes = client.recv(1 << 20);
        if (bytes === null || bytes.length === 0) break;
        got += bytes.length;
      }
      expect(idle.recv(1)?.length).toBe(0);
      idle.close();
      client.close();
      expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: '' });
      // Everything that the server wrote has arrived; most of it was queued in the server.
      const written = Array.from(program.stdout.matchAll(/ gets .* \((\d+) bytes\)/g), ([, bytes]) => Number(bytes));
      expect(got).toBe(written.reduce((sum, bytes) => sum + bytes, 0));
      expect(got).toBeGreaterThan(65_536);
      expect(got).toBeLessThanOrEqual(sent);
    },
  );

  it('a second Ctrl-C ends a server at once that waits for a slow reader', async () => {
    using bench = new Bench();
    const program = bench.own(startCli(['serve', 'reactor', '--port', '0']));
    const port = Number((await program.printed(/listening on 127\.0\.0\.1:(\d+)/))[1]);
    const client = connectTo(bench, port);
    client.blocking = false;
    for (let refused = 0; refused < 20;) {
      if (client.send(Buffer.alloc(65_536)) === null) {
        refused++;
        await sleep(2);
      }
    }
    program.process.kill('SIGINT');
    await program.printed(/waiting up to two seconds for 1 connection/);
    expect(program.process.exitCode).toBe(null);
    expect(await program.interruptUntilEnded()).toEqual([null, 'SIGINT']);
  });
});

describe.skipIf(notLinux)(`limits of the system${notLinux}`, () => {
  it.each(mechanisms)(
    'S115 R10 %s: no free descriptor: the loop does not spin, and waiting clients are served when one is free',
    async (mechanism) => {
      using bench = new Bench();
      const body = programText(`
      const { writeSync, openSync, closeSync } = require('node:fs');
      const errors = [];
      const loop = new selectors.Reactor({
        selector: selectors.createSelector('${mechanism}'), onError: (error) => errors.push(error) });
      const { address } = loop.listen({}, ${ECHO});
      // All free descriptors but five.
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null')); } catch {} // EMFILE: none is free
      for (let i = 0; i < 5; i++) closeSync(taken.pop());
      writeSync(1, address.port + '\\n');
      loop.callLater(300, () => {
        const before = process.cpuUsage();
        loop.callLater(1000, () => {
          const { user, system } = process.cpuUsage(before);
          writeSync(1, JSON.stringify({ cpuMs: (user + system) / 1000, codes: [...new Set(errors.map(({ code }) => code))], times: errors.length }) + '\\n');
        });
      });
      loop.onSignal('SIGTERM', () => loop.stop());
      loop.run();
      loop.close();
    `);
      const program = bench.own(new Program('sh', ['-c', 'ulimit -n 200; exec "$0" -e "$1"', process.execPath, body]));
      const port = Number((await program.printed(/^(\d+)\n/))[1]);
      const clients = Array.from({ length: 12 }, () => connectTo(bench, port));
      for (const client of clients) client.send('hello');
      const seen = JSON.parse((await program.printed(/(\{.*\})/))[1] ?? '') as {
        cpuMs: number;
        codes: string[];
        times: number;
      };
      expect(seen.codes).toEqual(['EMFILE']);
      expect(seen.times).toBeLessThan(30);
      expect(seen.cpuMs).toBeLessThan(300);
      // One after the other: each served client frees a descriptor.
      for (const client of clients) {
        expect(client.recv(10)?.toString()).toBe('hello');
        client.close();
      }
      program.process.kill('SIGTERM');
      expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
    },
  );

  it('select: a client beyond its sets waits until another leaves', async () => {
    using bench = new Bench();
    const program = bench.own(
      startProgram(`
        const { openSync, closeSync, writeSync } = require('node:fs');
        const taken = [];
        do taken.push(openSync('/dev/null')); while (taken.at(-1) < 1015);
        const codes = new Set();
        const loop = new selectors.Reactor({ selector: new selectors.SelectSelector(), onError: ({ code }) => codes.add(code) });
        const { address } = loop.listen({}, ${ECHO});
        writeSync(1, address.port + '\\n');
        loop.onSignal('SIGTERM', () => { writeSync(1, [...codes].join()); loop.stop(); });
        loop.run();
        loop.close();
      `),
    );
    const port = Number((await program.printed(/^(\d+)\n/))[1]);
    const clients = Array.from({ length: 30 }, () => connectTo(bench, port));
    let served = 0;
    for (const client of clients) {
      client.send('hello');
      if (client.recv(10)?.toString() === 'hello') served++;
      client.close();
    }
    expect(served).toBe(30);
    program.process.kill('SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0 });
    expect(program.stdout).toContain('ERR_OUT_OF_RANGE');
  });

  it.skipIf(noStrace)(`S114 R11 a client that leaves before it is accepted affects no other${noStrace}`, async () => {
    const outcome = await withFault(
      'accept4',
      'error=ECONNABORTED:when=1+2',
      `
      const loop = new selectors.Reactor();
      const { address } = loop.listen({}, ${ECHO});
      const clients = Array.from({ length: 5 }, () => new selectors.Socket());
      for (const client of clients) { client.connect(address); client.send('hello'); client.blocking = false; }
      let answered = 0;
      while (answered < 5) {
        loop.runOnce(1000);
        for (const client of clients) if (client.recv(10)?.toString() === 'hello') answered++;
      }
      console.log(answered);
      loop.close();
    `,
    );
    expect(outcome.stdout.trim()).toBe('5');
    expect(outcome.injected).toBeGreaterThan(2);
  });

  it.skipIf(process.platform !== 'linux')(
    'R7 a turn takes no more events than make 256 KiB, by the chunks of the turn before, and all connections are served',
    () => {
      const SIZE = 16_384;
      const COUNT = 60;
      using loop = new Reactor({ selector: createSelector('epoll') });
      const pairs = Array.from({ length: COUNT }, () => Socket.pair({ blocking: false }));
      const received = new Map<unknown, number>();
      const handler = {
        borrowsChunks: true,
        data(connection: Connection, chunk: Uint8Array) {
          expect(chunk.every((byte) => byte === connection.data)).toBe(true);
          received.set(connection, (received.get(connection) ?? 0) + chunk.length);
        },
      };
      for (const [i, [mine]] of pairs.entries()) loop.adopt(mine, handler).data = i;
      loop.runOnce(0);
      const turns: number[] = [];
      for (let round = 0; round < 2; round++) {
        for (const [i, [, other]] of pairs.entries()) other.send(new Uint8Array(SIZE).fill(i));
        const all = (round + 1) * COUNT * SIZE;
        while ([...received.values()].reduce((sum, bytes) => sum + bytes, 0) < all) turns.push(loop.runOnce(0));
      }
      for (const [, other] of pairs) other.close();
      expect([...received.values()]).toEqual(Array.from({ length: COUNT }, () => 2 * SIZE));
      // The first turn knows no chunks yet; after one for which the memory did not suffice, the next one is short.
      expect(turns).toEqual([COUNT, 4, 16, 16, 16, 8]);
    },
  );

  it.skipIf(noStrace)(
    `a turn makes a plain loop’s calls in its order: one wait, the recvs, the sends${noStrace}`,
    async () => {
      const outcome = await withFault(
        'epoll_wait,recvfrom,sendto,sendmsg,epoll_ctl',
        'delay_enter=1',
        `
      const { writeSync } = require('node:fs');
      const loop = new selectors.Reactor({ selector: new selectors.EpollSelector() });
      const { address } = loop.listen({}, ${ECHO});
      const clients = Array.from({ length: 3 }, () => new selectors.Socket());
      for (const client of clients) client.connect(address);
      loop.runOnce(1000);
      for (const client of clients) client.send('hello');
      writeSync(2, 'BEGIN\\n');
      loop.runOnce(1000);
      writeSync(2, 'END\\n');
      loop.close();
    `,
      );
      const between = outcome.stderr.slice(outcome.stderr.indexOf('BEGIN'), outcome.stderr.indexOf('END'));
      const calls = Array.from(between.matchAll(/^(\w+)\(/gm), ([, call]) => call).filter((call) => call !== 'write');
      expect(calls).toEqual(['epoll_wait', 'recvfrom', 'recvfrom', 'recvfrom', 'sendto', 'sendto', 'sendto']);
    },
  );

  it('R32 descriptors beyond FD_SETSIZE, up to this machine’s limit', async () => {
    const { stdout } = await runProgram(`
      const { openSync } = require('node:fs');
      const taken = [];
      // Until EMFILE, if the machine's limit is lower.
      try { for (;;) { taken.push(openSync('/dev/null')); if (taken.at(-1) > 70_000) break; } } catch {}
      const { closeSync } = require('node:fs');
      for (let i = 0; i < 20; i++) closeSync(taken.pop());
      const loop = new selectors.Reactor();
      let highest = 0;
      const { address } = loop.listen({}, { data(connection, chunk) { highest = connection.fd; connection.end(chunk); } });
      let heard = '';
      loop.connect(address, {
        open: (connection) => void connection.write('hello'),
        data: (_, chunk) => void (heard += chunk),
        close: () => loop.stop() });
      loop.run();
      loop.close();
      console.log(heard, highest);
    `);
    expect(stdout).toMatch(/^hello \d{4,}/);
  });
});

describe.skipIf(noFigures)(`memory${noFigures}`, () => {
  const rss = (pid: number | undefined): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

  it('two gigabytes in one write() are sent in parts', async () => {
    const { stdout } = await runProgram(`
      const loop = new selectors.Reactor();
      let got = 0;
      const { address } = loop.listen({}, { open: (connection) => void connection.write(Buffer.alloc(2 ** 31 + 10)) });
      loop.connect(address, { data(_, chunk) { got += chunk.length; if (got > 50e6) loop.stop(); } });
      loop.callLater(20000, () => loop.stop());
      loop.run();
      loop.close();
      console.log(got > 50e6);
    `);
    expect(stdout).toBe('true\n');
  });

  it('R12 1 GB sent to a slow reader: memory stays bounded, `drain` is called, all bytes arrive', async () => {
    using bench = new Bench();
    const total = 1 << 30;
    const program = bench.own(
      startProgram(`
        const { writeSync } = require('node:fs');
        const loop = new selectors.Reactor();
        let pushed = 0, drains = 0, most = 0;
        const push = (connection) => {
          while (pushed < ${total}) {
            pushed += 65536;
            const goesOn = connection.write(Buffer.alloc(65536, pushed >> 16));
            most = Math.max(most, connection.writableLength);
            if (!goesOn) return;
          }
          connection.end();
        };
        const { address } = loop.listen({}, {
          open: push,
          drain(connection) { drains++; push(connection); },
          close() { writeSync(1, JSON.stringify({ pushed, drains, most }) + '\\n'); loop.stop(); } });
        writeSync(1, address.port + '\\n');
        loop.run();
        loop.close();
      `),
    );
    const port = Number((await program.printed(/^(\d+)\n/))[1]);
    const before = rss(program.process.pid);
    const client = connectTo(bench, port);
    let got = 0;
    let highest = 0;
    const buffer = Buffer.alloc(1 << 20);
    for (let reads = 0; ; reads++) {
      const count = client.recvInto(buffer) ?? 0;
      if (count === 0) break;
      // Each 64 KiB block has its own byte value.
      for (let i = 0; i < count; i += 4096) {
        if (buffer[i] !== ((((got + i) >> 16) + 1) & 0xff)) throw new Error(`byte ${got + i} is wrong`);
      }
      got += count;
      if (reads % 100 === 0) {
        await sleep(2);
        highest = Math.max(highest, rss(program.process.pid));
      }
    }
    client.close();
    const [, text] = await program.printed(/(\{.*\})/);
    const { pushed, drains, most } = JSON.parse(text ?? '') as Record<string, number>;
    process.stdout.write(
      `   1 GB pushed: ${drains} drains, at most ${most} bytes buffered, ${((highest - before) / 1e6).toFixed(0)} MB above the idle server\n`,
    );
    expect([got, pushed]).toEqual([total, total]);
    expect(drains).toBeGreaterThan(100);
    expect(most).toBeLessThanOrEqual(2 * 65_536);
    // Sent buffers stay allocated until the garbage collector runs: the constant allows for them.
    expect(highest - before).toBeLessThan(100e6);
  });

  it('R33 10,000 idle connections: at most 1 KiB each, and the others are served as before', async () => {
    using bench = new Bench();
    // V8's young generation grows by megabytes whether clients connect or not: keep it small to measure only the connections.
    const program = bench.own(
      startCli(['serve', 'reactor', '--port', '0'], { NODE_OPTIONS: '--max-semi-space-size=1' }),
    );
    const port = Number((await program.printed(/listening on 127\.0\.0\.1:(\d+)/))[1]);
    const active = Array.from({ length: 10 }, () => connectTo(bench, port));
    const rounds = (): number => {
      const start = performance.now();
      for (let i = 0; i < 300; i++) {
        for (const client of active) client.send('x');
        for (const client of active) client.recv(1);
      }
      return performance.now() - start;
    };
    rounds();
    const best = (): number => Math.min(...Array.from({ length: 5 }, rounds));
    const alone = best();
    const before = rss(program.process.pid);
    const idle: Socket[] = [];
    for (let i = 0; i < 10_000; i++) {
      const client = connectTo(bench, port);
      client.send('once');
      idle.push(client);
    }
    for (const client of idle) expect(client.recv(10)?.length).toBe(4);
    await sleep(300);
    const each = (rss(program.process.pid) - before) / idle.length;
    const among = best();
    process.stdout.write(
      `   10,000 idle: ${each.toFixed(0)} bytes each; 3000 echoes took ${alone.toFixed(0)} ms alone, ${among.toFixed(0)} ms among them\n`,
    );
    for (const client of idle) {
      client.setOption('SO_LINGER', true); // no TIME_WAIT: the ten thousand ports are reused soon
      client.close();
    }
    expect(each).toBeLessThan(1024);
    // A server that scanned all ten thousand would take fifty times as long.
    expect(among).toBeLessThan(8 * alone);
  });
});

describe('the end of a process', () => {
  it('R25 start() keeps Node alive until stop(); promises, timers and streams of Node run meanwhile', async () => {
    const { stdout, code } = await runProgram(`
      const net = require('node:net');
      const loop = new selectors.Reactor();
      const { address } = loop.listen({}, ${ECHO});
      const ended = loop.start();
      ended.then(() => { console.log('ended'); loop.close(); });
      const socket = net.connect(address.port, address.host);
      socket.write('hello');
      socket.on('data', async (bytes) => {
        console.log(String(bytes));
        await new Promise((resolve) => setTimeout(resolve, 20));
        socket.destroy();
        loop.stop();
      });
    `);
    expect({ stdout, code }).toEqual({ stdout: 'hello\nended\n', code: 0 });
  });

  // poll reports a closed descriptor; epoll forgets it.
  it.skipIf(notLinux)(`EBADF of a connection does not close the file that has its number by then${notLinux}`, () => {
    using bench = new Bench();
    using loop = new Reactor({ selector: new PollSelector() });
    let told: NodeJS.ErrnoException | null = null;
    const connection = loop.adopt(bench.pair()[0], { close: (_, error) => (told = error) });
    loop.runOnce(0);
    const { fd } = connection;
    closeSync(fd);
    const pairs: [Socket, Socket][] = [];
    // After the wait, before its events are dispatched.
    loop.callSoon(() => {
      while (!pairs.some((pair) => pair.some((socket) => socket.fd === fd))) pairs.push(bench.pair());
    });
    loop.runOnce(0);
    expect(told).toMatchObject({ code: 'EBADF' });
    for (const [a, b] of pairs) {
      a.send('x');
      expect(String(b.recv(1))).toBe('x');
    }
  });

  it('an unreferenced loop keeps nothing alive: its descriptors are closed with it', async () => {
    const { stdout, code } = await runProgram(
      `
      (function () {
        const loop = new selectors.Reactor();
        globalThis.address = loop.listen({}, ${ECHO}).address;
        const client = new selectors.Socket();
        client.connect(address);
        loop.runOnce(100);
      })();
      const tries = async () => {
        for (let i = 0; i < 50; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 10));
          try { new selectors.Socket().connect(address); } catch (error) { return error.code; }
        }
      };
      tries().then(console.log);
    `,
      ['--expose-gc'],
    );
    expect({ stdout: stdout.trim(), code }).toEqual({ stdout: 'ECONNREFUSED', code: 0 });
  });

  it('a loop that was started and closed frees its memory', async () => {
    const { stdout } = await runProgram(
      `
      let gone = 0;
      const registry = new FinalizationRegistry(() => gone++);
      (async () => {
        for (let i = 0; i < 20; i++) {
          const loop = new selectors.Reactor();
          loop.onSignal('SIGINT', () => undefined);
          registry.register(loop);
          loop.callSoon(() => loop.stop());
          await loop.start();
          loop.close();
        }
        for (let i = 0; i < 100 && gone < 19; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        console.log(gone >= 19);
      })();
    `,
      ['--expose-gc'],
    );
    expect(stdout.trim()).toBe('true');
  });

  it.skipIf(noFigures)(
    `a loop that blocks for long keeps no native memory of closed connections${noFigures}`,
    async () => {
      const { stdout } = await startProgram(
        `
      const { readFileSync } = require('node:fs');
      const heap = () => {
        const [, area] = readFileSync('/proc/self/smaps', 'utf8').split('[heap]');
        return 1024 * Number(area.split('Rss:')[1].trim().split(' ')[0]);
      };
      const figures = [];
      for (const mechanism of ['epoll', 'select']) {
        const loop = new selectors.Reactor({ selector: selectors.createSelector(mechanism) });
        const { address } = loop.listen({ path: String.fromCharCode(0) + 'selectors-native-' + process.pid }, { data: (connection, chunk) => void connection.end(chunk) });
        let done = 0, before = 0;
        const next = () => {
          if (done === 5000) before = heap();
          if (done++ === 25000) { figures.push((heap() - before) / 20000); return loop.stop(); }
          loop.connect(address, {
            open: (connection) => void connection.write('x'),
            end: (connection) => connection.end(),
            close: next });
        };
        next();
        loop.run();
        loop.close();
      }
      console.log(JSON.stringify(figures));
    `,
        [],
        // ArrayBuffers that are not collected yet are allocated outside the heap (mallopt(3)): Node 24 collects them later.
        { MALLOC_MMAP_THRESHOLD_: '2048' },
      ).ended;
      // 160 and 350 bytes per connection if each leaves an object that only Node's loop frees.
      for (const bytes of JSON.parse(stdout) as number[]) expect(bytes).toBeLessThan(60);
    },
  );

  it('R24 worker.terminate() ends a blocking run(), and start(), and leaves no descriptor', async () => {
    const { stdout, stderr, code } = await runProgram(`
      const { Worker } = require('node:worker_threads');
      const { readdirSync, readlinkSync } = require('node:fs');
      const entry = ${JSON.stringify(`${process.cwd()}/dist/index.js`)};
      const body = (how) => \`
        const selectors = require(\${JSON.stringify(entry)});
        const loop = new selectors.Reactor();
        const { address } = loop.listen({}, ${ECHO});
        const client = loop.connect(address, { open: (connection) => void connection.write('x'), data(connection, chunk) {
          connection.write(chunk);
          if (!globalThis.told) require('node:worker_threads').parentPort.postMessage(globalThis.told = 'up');
        } });
        loop.\${how}();\`;
      const sockets = () => process.platform !== 'linux' ? 0 : readdirSync('/proc/self/fd').filter((fd) => {
        try { return /socket:|eventpoll|eventfd/.test(readlinkSync('/proc/self/fd/' + fd)); } catch { return false; }
      }).length;
      (async () => {
        let before;
        for (let round = 0; round < 4; round++) {
          for (const how of ['run', 'start']) {
            const worker = new Worker(body(how), { eval: true });
            const start = performance.now();
            // A blocked worker cannot post: its messages arrive when it is terminated.
            await new Promise((resolve) => setTimeout(resolve, 150 + round * 7));
            await worker.terminate();
            if (performance.now() - start > 3000) throw new Error('slow: ' + how);
          }
          if (round === 0) before = sockets();
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
        console.log(sockets() <= before ? 'clean' : 'left: ' + (sockets() - before));
      })();
    `);
    expect({ stdout: stdout.trim(), stderr, code }).toEqual({ stdout: 'clean', stderr: '', code: 0 });
  });

  it.skipIf(notLinux)(`R26 children inherit none of a loop’s descriptors${notLinux}`, () => {
    const body = programText(`
      const childsDescriptors = () => {
        const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
        return require('node:child_process').spawnSync('ls', ['-l', '/proc/self/fd'], options).stdout;
      };
      const count = (text) => (text.match(/socket:|eventpoll|eventfd/g) ?? []).length;
      const before = childsDescriptors();
      const loop = new selectors.Reactor();
      const { address } = loop.listen({}, ${ECHO});
      const client = loop.connect(address, {});
      for (let i = 0; i < 5; i++) loop.runOnce(50);
      const after = childsDescriptors();
      console.log(count(after) === count(before) ? 'none' : after);
      loop.close();
    `);
    const { stdout } = spawnSync(process.execPath, ['-e', body], { encoding: 'utf8' });
    expect(stdout).toBe('none\n');
  });
});
