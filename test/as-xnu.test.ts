/** Behaviour of the macOS kernel, simulated on Linux by a preloaded library: test/native/as-xnu.c. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { Program, answerOf, programText, root } from './support/program.js';

function reasonToSkip(): string | undefined {
  if (process.platform !== 'linux') return 'the library is for Linux';
  if (process.env.SELECTORS_NATIVE_SANITIZED !== undefined) return 'the sanitizers are preloaded';
  if (spawnSync('gcc', ['--version']).status !== 0) return 'there is no gcc';
  return undefined;
}
const reason = reasonToSkip();

describe.skipIf(reason !== undefined)(`as on macOS${reason === undefined ? '' : ` — not here: ${reason}`}`, () => {
  let folder = '';
  let library = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'as-xnu-'));
    library = join(folder, 'as-xnu.so');
    const source = join(root, 'test/native/as-xnu.c');
    execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, source, '-ldl']);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Runs a program. @returns its last output line, parsed as JSON. The test's time limit ends a program that blocks. */
  async function run(body: string, send?: string): Promise<unknown> {
    using bench = new Bench();
    const env = { LD_PRELOAD: library, ...(send === undefined ? {} : { AS_XNU_SEND: send }) };
    return await answerOf(bench.own(new Program(process.execPath, ['-e', programText(body)], env)).ended);
  }

  it('io_uring and SO_ACCEPTCONN are hidden, and a send with MSG_DONTWAIT blocks: the library is in effect', async () => {
    const answer = await run(`
      const { SOL_SOCKET, SO_ACCEPTCONN, MSG_DONTWAIT } = syscalls.constants;
      const [a] = selectors.Socket.pair();
      a.setOption('SO_SNDBUF', 4096);
      a.setOption(SOL_SOCKET, syscalls.constants.SO_SNDTIMEO, new Uint8Array(BigInt64Array.of(0n, 1000n).buffer));
      let sent = 0, last;
      do { last = native.send(a.fd, Buffer.alloc(65536), 0, 65536, MSG_DONTWAIT); sent++; } while (last > 0);
      let code;
      try { a.getOption(SOL_SOCKET, SO_ACCEPTCONN, 4); } catch (error) { code = error.code; }
      console.log(JSON.stringify([code, selectors.IoUringProactor.isAvailable, last === native.wouldBlock]));
    `);
    expect(answer).toEqual(['ENOPROTOOPT', false, true]);
  });

  it('accept of the emulation fails on a datagram, connected or bound socket, and works on a listener', async () => {
    const answer = await run(`
      const { EmulatedProactor, Socket } = selectors;
      const p = new EmulatedProactor();
      const ready = new Socket({ type: 'dgram' }).bind({ host: '127.0.0.1', port: 0 });
      ready.sendTo(Buffer.from('x'), ready.localAddress);
      const [connected, peer] = Socket.pair();
      peer.send('x');
      const silent = Socket.pair();
      const listener = new Socket().bind({ host: '127.0.0.1', port: 0 }).listen();
      const refused = [ready, new Socket({ type: 'dgram' }), connected, silent[0], new Socket()];
      const accepting = [...refused, listener].map((socket) => p.accept(socket));
      const client = new Socket();
      client.connect(listener.localAddress);
      while (p.pending > 0) p.wait();
      console.log(JSON.stringify(accepting.map(({ error, result }) => error?.code ?? result.remoteAddress.port === client.localAddress.port)));
    `);
    const notSupported = expect.stringMatching(/^(ENOTSUP|EOPNOTSUPP)$/) as unknown;
    expect(answer).toEqual([notSupported, notSupported, 'EINVAL', 'EINVAL', 'EINVAL', true]);
  });

  it('send and sendTo of the emulation, and send with MSG_DONTWAIT, do not block on blocking sockets', async () => {
    const answer = await run(`
      const { EmulatedProactor, Socket } = selectors;
      const p = new EmulatedProactor();
      const [a] = Socket.pair();
      const first = p.send(a, Buffer.alloc(10_000_000));
      p.wait();
      const second = p.send(a, 'x');
      p.wait(20);
      const path = '\\0as-xnu ' + process.pid;
      const receiver = new Socket({ family: 'unix', type: 'dgram' }).bind({ path });
      const sender = new Socket({ family: 'unix', type: 'dgram' });
      const datagrams = Array.from({ length: 5000 }, () => p.sendTo(sender, 'x', { path }));
      p.wait(20);
      const [c] = Socket.pair();
      while (c.send(Buffer.alloc(65536), 0, undefined, syscalls.constants.MSG_DONTWAIT) !== null);
      const isBlocking = [a, sender, c].map(({ fd }) => native.isNonBlocking(fd) === 0);
      console.log(JSON.stringify([first.result < 10_000_000, second.pending, datagrams.at(-1).pending, isBlocking]));
    `);
    expect(answer).toEqual([true, true, true, [true, true, true]]);
  });

  const LENGTH = 3_000_000;
  it.each(['Reactor', 'ProactorLoop'])('ENOBUFS means would-block: %s delivers everything', async (name) => {
    const answer = await run(
      `
      const loop = new selectors.${name}();
      let received = 0, closed = [];
      const handler = (more) => ({ close: (_, error) => closed.push(error?.code), ...more });
      const listener = loop.listen({}, handler({ data: (connection, chunk) => connection.write(Buffer.from(chunk)) }));
      loop.connect(listener.address, handler({
        open: (connection) => { for (let i = 0; i < 30; i++) connection.write(Buffer.alloc(${LENGTH / 30}, i)); },
        data: (connection, chunk) => { received += chunk.length; if (received === ${LENGTH}) loop.stop(); },
      }));
      loop.run();
      console.log(JSON.stringify([received, closed]));
    `,
      'ENOBUFS:3',
    );
    expect(answer).toEqual([LENGTH, []]);
  });

  it('ENOBUFS means would-block: null if non-blocking, a retry if blocking, for Socket and for the emulation', async () => {
    const answer = await run(
      `
      const { EmulatedProactor, Socket } = selectors;
      const [a, b] = Socket.pair({ blocking: false });
      const [c, d] = Socket.pair();
      const receiver = new Socket({ type: 'dgram' }).bind({ host: '127.0.0.1', port: 0 });
      const sender = new Socket({ type: 'dgram' });
      const answers = [];
      answers.push(a.send('1'), a.send('2'));
      answers.push(c.send('1'), c.send('2'), c.send('3'));
      c.sendAll('456');
      c.timeout = 60_000;
      answers.push(c.send('7'), c.send('8'));
      answers.push(sender.sendTo('12', receiver.localAddress), sender.sendTo('34', receiver.localAddress));
      const p = new EmulatedProactor();
      for (const one of [p.send(a, '5'), p.send(a, '6')]) while (one.pending) p.wait();
      console.log(JSON.stringify([answers, b.recv(10).toString(), d.recv(10).toString(), receiver.recv(10).toString()]));
    `,
      'ENOBUFS:2',
    );
    expect(answer).toEqual([[1, null, 1, 1, 1, 1, 1, 2, 2], '156', '12345678', '12']);
  });

  it('EPROTOTYPE of a connected socket becomes ECONNRESET; with an address it stays EPROTOTYPE', async () => {
    const answer = await run(
      `
      const { EmulatedProactor, Reactor, Socket } = selectors;
      const codeOf = (call) => { try { return call(); } catch (error) { return error.code; } };
      const [a] = Socket.pair();
      const p = new EmulatedProactor();
      const sending = p.send(a, 'x');
      while (sending.pending) p.wait();
      const loop = new Reactor();
      let closed;
      const listener = loop.listen({}, {});
      loop.connect(listener.address, {
        open: (connection) => connection.write('x'),
        close: (_, error) => { closed = error?.code; loop.stop(); },
      });
      loop.run();
      const udp = new Socket({ type: 'dgram' });
      console.log(JSON.stringify([
        codeOf(() => a.send('x')), codeOf(() => a.sendAll('x')), sending.error?.code, closed,
        codeOf(() => udp.sendTo('x', { host: '127.0.0.1', port: 9 })),
      ]));
    `,
      'EPROTOTYPE:1',
    );
    expect(answer).toEqual(['ECONNRESET', 'ECONNRESET', 'ECONNRESET', 'ECONNRESET', 'EPROTOTYPE']);
  });
});
