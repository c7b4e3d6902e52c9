/** Names with several addresses, wildcard addresses, and which resolver is used. */
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type Connection,
  type EventLoop,
  ProactorLoop,
  Reactor,
  Socket,
  createProactor,
  createSelector,
} from '../src/index.js';
import { native } from '../src/native.js';
import { sharePort } from '../src/net/sockopt.js';
import { lacksOf } from './contract/capabilities.js';
import { Bench } from './support/bench.js';
import { opened } from './support/descriptors.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';
import { noStrace, withFault } from './support/strace.js';

const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
/** Loopback addresses, in the resolver's order. */
const ADDRESSES = hasIPv6 ? ['::1', '127.0.0.1'] : ['127.0.0.1'];

const loops: readonly (readonly [name: string, make: () => EventLoop])[] = [
  ...readinessMechanisms
    .filter(({ available }) => available)
    .map(
      ({ mechanism }) =>
        [`reactor on ${mechanism}`, () => new Reactor({ selector: createSelector(mechanism) })] as const,
    ),
  ...proactorRows
    .filter(({ create }) => create !== undefined)
    .map(
      ({ mechanism }) =>
        [`proactor on ${mechanism}`, () => new ProactorLoop({ proactor: createProactor(mechanism) })] as const,
    ),
];

/** Over libkqueue a refused connect succeeds. */
const noErrors = readinessMechanisms.some(({ mechanism, available }) => mechanism === 'kqueue' && available)
  ? lacksOf('kqueue')['errors left to the caller']
  : undefined;
const isOverKqueue = (name: string): boolean => name.endsWith('kqueue');
const telling = noErrors === undefined ? loops : loops.filter(([name]) => !isOverKqueue(name));
// One line for the cases that `telling` leaves out; the reason is libkqueue's.
if (noErrors !== undefined) it.skip(`connect() by a name over kqueue — not here: ${noErrors}`, () => undefined);

/** The answer of the fake system resolver for 'many.test': these addresses in this order. */
let answers: string[] = [];
/** Names that were looked up. */
let asked: string[] = [];
let bench: Bench;

beforeEach(() => {
  bench = new Bench();
  asked = [];
  const real = native.resolve;
  vi.spyOn(native, 'resolve').mockImplementation((host, port, family) => {
    if (!/^[\d.:a-f]+$/.test(host)) asked.push(host);
    if (host !== 'many.test') return real(host, port, family);
    return answers.flatMap((address) => {
      const found = real(address, port, family);
      return typeof found === 'object' ? found : [];
    });
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  bench[Symbol.dispose]();
});

/**
 * The sockets opened since `before`. Not the difference of two numbers: of a closed kqueue libkqueue closes six descriptors later, in a thread
 * of its own.
 */
function socketsSince(before: ReadonlyMap<number, string>): string[] {
  const old = new Set(before.values());
  return [...opened().values()].filter((what) => what.startsWith('socket:') && !old.has(what));
}

/** Listens on 127.0.0.1 only: the other addresses refuse the port. @returns the port */
function listening(loop: EventLoop): number {
  return (loop.listen({ host: '127.0.0.1' }, {}).address as { port: number }).port;
}

function until(loop: EventLoop, condition: () => boolean): void {
  const end = performance.now() + 20_000;
  while (!condition() && performance.now() < end) loop.runOnce(100);
  expect(condition()).toBe(true);
}

// On Windows, 127.0.0.2 does not refuse at once: a refused connect takes two seconds.
describe.skipIf(process.platform === 'win32')(
  'connect() by a name with several addresses — not on Windows, where a refused connect takes 2 s',
  () => {
    it.each(telling)('%s: tries the next address until one connects, and closes the failed sockets', (_name, make) => {
      using loop = make();
      const port = listening(loop);
      answers = ['127.0.0.3', ...ADDRESSES];
      loop.runOnce(0);
      const before = opened();
      let peer: unknown;
      using echo = loop.listen({}, { data: (connection, chunk) => connection.end(chunk) });
      expect(echo.connections).toBe(0);
      const connection = loop.connect({ host: 'many.test', port }, { open: (c) => void (peer = c.remoteAddress) });
      connection.setOption('SO_KEEPALIVE', true);
      until(loop, () => peer !== undefined);
      expect(peer).toEqual({ host: '127.0.0.1', port });
      expect(connection.getOption('SO_KEEPALIVE')).toBe(1);
      expect(connection.getOption('TCP_NODELAY')).toBe(1);
      expect(connection.write('x')).toBe(true);
      // The listener and both ends of the connection; no socket of a failed attempt.
      if (before.size > 0) expect(socketsSince(before)).toHaveLength(3);
    });

    it.each(telling)('%s: fails with the last error and its address; destroy() ends the attempts', (_name, make) => {
      using loop = make();
      const listener = loop.listen({ host: '127.0.0.1' }, { open: () => expect.unreachable('it was destroyed') });
      const { port } = listener.address as { port: number };
      const free = loop.listen({ host: '127.0.0.1' }, {});
      const { port: deaf } = free.address as { port: number };
      free.close();
      answers = ['127.0.0.3', '127.0.0.4'];
      const closed: (Error | null)[] = [];
      loop.connect({ host: 'many.test', port: deaf }, { close: (_c, error) => void closed.push(error) });
      until(loop, () => closed.length > 0);
      expect(closed[0]).toMatchObject({ code: 'ECONNREFUSED', address: '127.0.0.4', port: deaf });
      answers = ['127.0.0.3', '127.0.0.1'];
      loop.connect({ host: 'many.test', port }, { close: (_c, error) => void closed.push(error) }).destroy();
      until(loop, () => closed.length > 1);
      for (let turn = 0; turn < 5; turn++) loop.runOnce(5);
      expect(closed[1]).toBe(null);
    });

    it('Socket: blocking, with a timeout, and non-blocking', () => {
      const listener = bench.own(new Socket()).bind({ host: '127.0.0.1', port: 0 }).listen();
      const { port } = listener.localAddress as { port: number };
      answers = ['127.0.0.3', '127.0.0.4', '127.0.0.1'];
      for (const timeout of [null, 20_000]) {
        const client = bench.own(new Socket());
        client.timeout = timeout;
        expect(client.connect({ host: 'many.test', port })).toBe(true);
        expect(client.remoteAddress).toEqual({ host: '127.0.0.1', port });
      }
      answers = ['127.0.0.3', '127.0.0.4'];
      for (const timeout of [null, 20_000]) {
        const client = bench.own(new Socket());
        client.timeout = timeout;
        expect(() => client.connect({ host: 'many.test', port })).toThrow(
          expect.objectContaining({ code: 'ECONNREFUSED', address: '127.0.0.4', port }),
        );
      }
    });

    const proactors = proactorRows.filter(({ create }) => create !== undefined).map(({ mechanism }) => mechanism);
    it.each(proactors.filter((mechanism) => noErrors === undefined || !isOverKqueue(mechanism)))(
      'proactor on %s: one operation, all addresses',
      (mechanism) => {
        using proactor = createProactor(mechanism);
        const listener = bench.own(new Socket()).bind({ host: '127.0.0.1', port: 0 }).listen();
        const { port } = listener.localAddress as { port: number };
        answers = ['127.0.0.3', '127.0.0.4', '127.0.0.1'];
        const client = bench.own(new Socket());
        const operation = proactor.connect(client, { host: 'many.test', port }, 'data');
        expect(proactor.wait(20_000)).toEqual([operation]);
        expect(operation.error).toBeUndefined();
        expect(client.remoteAddress).toEqual({ host: '127.0.0.1', port });
        answers = ['127.0.0.3', '127.0.0.4'];
        const refused = proactor.connect(bench.own(new Socket()), { host: 'many.test', port });
        expect(proactor.wait(20_000)).toEqual([refused]);
        expect(refused.error).toMatchObject({ code: 'ECONNREFUSED', address: '127.0.0.4', port });
        const closed = bench.own(new Socket());
        const abandoned = proactor.connect(closed, { host: 'many.test', port });
        closed.close();
        expect(proactor.wait(20_000)).toEqual([abandoned]);
        expect(abandoned.error?.code).toMatch(/^(ECANCELED|ECONNREFUSED)$/);
        expect(proactor.pending).toBe(0);
      },
    );
  },
);

describe("inside Node's loop", () => {
  it.each(loops)('%s: asks Node’s resolver, and never the system’s', async (_name, make) => {
    using loop = make();
    const listener = loop.listen({ host: '127.0.0.1' }, { data: (connection, chunk) => connection.end(chunk) });
    const { port } = listener.address as { port: number };
    const running = loop.start();
    const events: string[] = [];
    const connection = loop.connect(
      { host: 'localhost', port },
      {
        open: () => void events.push('open'),
        data: (_c, chunk) => void events.push(chunk.toString()),
        close: () => loop.stop(),
      },
      { noDelay: false, keepAlive: 5000 },
    );
    expect(connection.fd).toBe(-1);
    expect(connection.remoteAddress).toEqual({ host: 'localhost', port });
    expect(connection.localAddress).toEqual({ host: '0.0.0.0', port: 0 });
    expect(() => connection.getOption('SO_KEEPALIVE')).toThrow(expect.objectContaining({ code: 'ENOTCONN' }));
    expect(() => connection.setOption('SO_KEEPALIVE', 'x' as never)).toThrow(TypeError);
    connection.setOption('SO_RCVBUF', 4096).write('early');
    await running;
    expect(events).toEqual(['open', 'early']);
    expect(asked).toEqual([]);
  });

  it.each(loops)(
    '%s: an unknown name, a destroyed connection, a closed loop, and run() meanwhile',
    async (_name, make) => {
      const loop = make();
      const closed: unknown[] = [];
      const handler = { close: (_c: Connection, error: Error | null) => void closed.push(error) };
      const running = loop.start();
      loop.connect({ host: 'no-such-host.invalid', port: 1 }, handler);
      loop.connect({ host: 'localhost', port: 1 }, handler).destroy();
      while (closed.length < 2) await sleep(1);
      expect(closed).toContain(null);
      expect(closed.find((error) => error !== null)).toMatchObject({
        code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) as string,
        syscall: 'getaddrinfo',
        address: 'no-such-host.invalid',
      });
      const { port } = loop.listen({ host: '127.0.0.1' }, {}).address as { port: number };
      let opened = false;
      loop.connect({ host: 'localhost', port }, { open: () => void (opened = true), close: handler.close });
      loop.stop();
      await running;
      until(loop, () => opened || closed.length > 2);
      const again = loop.start();
      loop.connect({ host: 'localhost', port }, handler);
      const before = closed.length;
      loop.close();
      expect(closed.length).toBeGreaterThan(before);
      await again;
      await sleep(20); // the resolver answers after the loop is closed
    },
  );
});

describe("listen({ host: '' })", () => {
  it.each(loops)('%s: IPv4 and IPv6 clients can connect', (_name, make) => {
    using loop = make();
    let count = 0;
    const listener = loop.listen({ host: '' }, { open: () => count++ });
    const { host, port } = listener.address as { host: string; port: number };
    expect(host).toBe(hasIPv6 ? '::' : '0.0.0.0');
    for (const address of ADDRESSES) {
      bench.own(new Socket({ family: address.includes(':') ? 'ipv6' : 'ipv4' })).connect({ host: address, port });
    }
    until(loop, () => count === ADDRESSES.length);
  });

  it.skipIf(noStrace)(`without IPv6 it takes IPv4${noStrace}`, async () => {
    const { stdout, stderr, injected } = await withFault(
      'socket',
      'error=EAFNOSUPPORT:when=1',
      `const loop = new selectors.Reactor();
       console.log(loop.listen({ host: '' }, {}).address.host);
       loop.close();`,
    );
    expect([stdout, injected], stderr).toEqual(['0.0.0.0\n', 1]);
  });

  it.skipIf(!hasIPv6)("bind({ host: '' }) of an IPv6 socket accepts IPv4 too, unless IPV6_V6ONLY is set", () => {
    const both = bench
      .own(new Socket({ family: 'ipv6' }))
      .bind({ host: '', port: 0 })
      .listen();
    expect(both.getOption('IPV6_V6ONLY')).toBe(0);
    bench.own(new Socket()).connect({ host: '127.0.0.1', port: (both.localAddress as { port: number }).port });
    const six = bench
      .own(new Socket({ family: 'ipv6' }))
      .setOption('IPV6_V6ONLY', true)
      .bind({ host: '', port: 0 });
    expect(six.getOption('IPV6_V6ONLY')).toBe(1);
  });
});

describe('options of connections', () => {
  it.each(loops)(
    '%s: noDelay and keepAlive of listen, connect and adopt; checked before anything changes',
    (_name, make) => {
      using loop = make();
      const seen: number[][] = [];
      const see = (c: Connection) =>
        seen.push([Number(c.getOption('TCP_NODELAY') !== 0), Number(c.getOption('SO_KEEPALIVE') !== 0)]);
      const asks = { noDelay: false, keepAlive: 1500 };
      const plain = loop.listen({}, { open: see });
      const own = loop.listen(asks, {
        open(c) {
          see(c);
          if (native.constants.TCP_KEEPIDLE !== undefined) expect(c.getOption('TCP_KEEPIDLE')).toBe(2);
        },
      });
      for (const { address } of [plain, own]) loop.connect(address, {});
      until(loop, () => seen.length === 2);
      expect(seen.sort()).toEqual([
        [0, 1],
        [1, 0],
      ]);
      seen.length = 0;
      loop.connect(plain.address, { open: see }, { noDelay: false, keepAlive: true });
      until(loop, () => seen.length === 2);
      expect(seen).toContainEqual([0, 1]);
      const before = opened();
      for (const wrong of [
        { noDelay: 1 },
        { keepAlive: 0 },
        { keepAlive: '1' },
        { keepAlive: 1e9 },
        { highWaterMark: 0 },
      ]) {
        expect(() => loop.connect(plain.address, {}, wrong as never)).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^ERR_/) as string }),
        );
        expect(() => loop.listen(wrong as never, {})).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^ERR_/) as string }),
        );
      }
      expect(socketsSince(before)).toEqual([]);
      const { connection } = { connection: loop.connect(plain.address, {}) };
      connection.destroy();
      expect(() => connection.setOption('SO_KEEPALIVE', true)).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
      expect(() => connection.getOption('SO_KEEPALIVE')).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
    },
  );
});

describe('several sockets on one port', () => {
  /** What sharePort() sets, on a system with these constants. */
  function optionsOf(more: Readonly<Record<string, number>>): unknown[][] {
    const calls: unknown[][] = [];
    vi.spyOn(native, 'constants', 'get').mockReturnValue({ ...native.constants, ...more });
    try {
      sharePort({ setOption: (...args: unknown[]) => calls.push(args) });
    } finally {
      vi.restoreAllMocks();
    }
    return calls;
  }

  it('SO_REUSEPORT; on FreeBSD, where that does not distribute connections, SO_REUSEPORT_LB', () => {
    expect(optionsOf({})).toEqual([['SO_REUSEPORT', true]]);
    expect(optionsOf({ SO_REUSEPORT_LB: 0x10000 })).toEqual([[native.constants.SOL_SOCKET, 0x10000, 1]]);
  });
});
