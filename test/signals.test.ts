/** S48, S49: signals during a blocking wait. POSIX. */
import { describe, expect, it } from 'vitest';
import { runProgram, startProgram } from './support/program.js';
import { callsOfNode, noStrace, withFault } from './support/strace.js';
import { readinessMechanisms } from './support/mechanisms.js';

const mechanisms = readinessMechanisms.filter(({ available }) => available).map(({ mechanism }) => mechanism);
const noSignals = process.platform === 'win32' ? ' — not here: Windows has no signals' : '';

describe.skipIf(noSignals)(`signals during select()${noSignals}`, () => {
  it.each(mechanisms)(
    'S48 %s: a storm of handled signals; the wait goes on for the remaining time',
    async (mechanism) => {
      const program = startProgram(`
      process.on('SIGUSR2', () => {});
      const selector = selectors.createSelector('${mechanism}');
      const [a] = selectors.Socket.pair();
      selector.register(a, selectors.EVENT_READ);
      console.log('waiting');
      const start = performance.now();
      const ready = selector.select(600);
      console.log(JSON.stringify({ ready: ready.length, ms: performance.now() - start }));
      process.exit();
    `);
      await program.printed(/waiting/);
      let sent = 0;
      const storm = setInterval(() => {
        program.process.kill('SIGUSR2');
        sent++;
      }, 10);
      const [, result] = await program.printed(/(\{.*\})/);
      clearInterval(storm);
      const { ready, ms } = JSON.parse(result as string) as { ready: number; ms: number };
      expect(ready).toBe(0);
      expect(ms).toBeGreaterThanOrEqual(600);
      expect(ms).toBeLessThan(10_000); // 600 ms in total, not 600 ms after each signal
      expect(sent).toBeGreaterThan(10);
      await program.ended;
    },
  );

  it.each(mechanisms)(
    'S49 %s: an unhandled signal ends a blocking wait, and the process, at once',
    async (mechanism) => {
      const program = startProgram(`
      const selector = selectors.createSelector('${mechanism}');
      console.log('waiting');
      selector.select();
    `);
      await program.printed(/waiting/);
      program.process.kill('SIGINT');
      expect(await program.ended).toMatchObject({ code: null, signal: 'SIGINT' });
    },
  );

  it('S103 a storm of handled signals during recv, recvFrom, accept and sendAll: each waits for its whole timeout', async () => {
    const program = startProgram(`
      process.on('SIGUSR2', () => {});
      const { Socket } = selectors;
      const any = { host: '127.0.0.1', port: 0 };
      const [a] = Socket.pair();
      const listener = new Socket().bind(any).listen();
      const datagrams = new Socket({ type: 'dgram' }).bind(any);
      for (const socket of [a, listener, datagrams]) socket.timeout = 300;
      console.log('waiting');
      const times = {};
      const timed = (name, call) => {
        const start = performance.now();
        try { call(); } catch (error) { times[name] = [error.code, performance.now() - start]; }
      };
      timed('recv', () => a.recv(1));
      timed('recvFrom', () => datagrams.recvFrom(1));
      timed('accept', () => listener.accept());
      timed('sendAll', () => a.sendAll(Buffer.alloc(50_000_000)));
      console.log(JSON.stringify(times));
      process.exit();
    `);
    await program.printed(/waiting/);
    const storm = setInterval(() => program.process.kill('SIGUSR2'), 5);
    const [, result] = await program.printed(/(\{.*\})/);
    clearInterval(storm);
    const times = JSON.parse(result as string) as Record<string, [string, number]>;
    expect(Object.keys(times)).toEqual(['recv', 'recvFrom', 'accept', 'sendAll']);
    for (const [code, ms] of Object.values(times)) {
      expect(code).toBe('ETIMEDOUT');
      expect(ms).toBeGreaterThanOrEqual(300);
      expect(ms).toBeLessThan(10_000);
    }
    await program.ended;
  });

  it('S49 a handler of Node runs as soon as the thread returns, and its error ends the program', async () => {
    const program = startProgram(`
      process.on('SIGUSR2', () => { throw new Error('from the handler'); });
      const selector = new selectors.DefaultSelector();
      console.log('waiting');
      selector.select(300);
      console.log('back');
      setTimeout(() => console.log('never'), 1000);
    `);
    await program.printed(/waiting/);
    program.process.kill('SIGUSR2');
    const { stdout, stderr, code } = await program.ended;
    expect(stdout).toBe('waiting\nback\n');
    expect(stderr).toContain('from the handler');
    expect(code).not.toBe(0);
  });
});

describe.skipIf(noStrace)(`errors of the kernel${noStrace}`, () => {
  it.each([
    ['epoll', 'epoll_wait'],
    ['poll', 'poll'],
    ['select', 'pselect6'],
  ])('S48 %s: every third wait interrupted', async (mechanism, call) => {
    const outcome = await withFault(
      call,
      'error=EINTR:when=3+3',
      `
      const selector = selectors.createSelector('${mechanism}');
      const [a, b] = selectors.Socket.pair();
      selector.register(b, selectors.EVENT_READ);
      for (let i = 0; i < 20; i++) {
        const start = performance.now();
        if (selector.select(5).length !== 0 || performance.now() - start < 5) throw new Error('early');
      }
      a.send('x');
      console.log(selector.select(1000).length);
    `,
    );
    expect(outcome.stdout.trim()).toBe('1');
    expect(outcome.injected).toBeGreaterThan(3);
  });

  it.each([
    ['epoll', 'epoll_wait'],
    ['poll', 'poll'],
    ['select', 'pselect6'],
  ])('S48 %s: interrupted at the end of the timeout: returns no event', async (mechanism, call) => {
    const outcome = await withFault(
      call,
      // The call returns 5 ms late, with its sets as they were given.
      'error=EINTR:delay_exit=5000:when=3+1',
      `
      const selector = selectors.createSelector('${mechanism}');
      const pairs = Array.from({ length: 3 }, () => selectors.Socket.pair());
      for (const [a] of pairs) selector.register(a, selectors.EVENT_READ);
      let ready = 0;
      for (let i = 0; i < 10; i++) ready += selector.select(1).length;
      console.log(ready);
    `,
    );
    expect(outcome.stdout.trim()).toBe('0');
    expect(outcome.injected).toBeGreaterThan(5);
  });

  it.each([
    ['EPERM', 'epoll_create1'],
    ['ENOSYS', 'epoll_create1'],
    ['EPERM', 'epoll_wait'],
    ['EPERM', 'epoll_ctl'],
  ])('a sandbox that answers %s to %s: DefaultSelector falls back, and gives the reason', async (error, call) => {
    // Node needs these calls to start: only later ones fail.
    const own = await callsOfNode(call);
    const outcome = await withFault(
      call,
      `error=${error}:when=${own + 1}+`,
      `
      const { availableMechanisms, DefaultSelector, EpollSelector, Socket, EVENT_WRITE } = selectors;
      const epoll = availableMechanisms().find((row) => row.mechanism === 'epoll');
      const selector = new DefaultSelector();
      selector.register(Socket.pair()[0], EVENT_WRITE, 'works');
      let code = 'none';
      try { new EpollSelector(); } catch (error) { code = error.code; }
      console.log(JSON.stringify({ epoll, available: EpollSelector.isAvailable, chosen: selector.mechanism, code,
        ready: selector.select(0).map(([key]) => key.data) }));
    `,
    );
    const seen = JSON.parse(outcome.stdout) as Record<string, unknown>;
    expect(seen).toMatchObject({ epoll: { available: false }, available: false, chosen: 'poll', ready: ['works'] });
    expect((seen.epoll as { why: string }).why).toContain(`${call} failed: ${error}`);
    if (call === 'epoll_create1') expect(seen.code).toBe('ERR_UNAVAILABLE');
  });

  it.each([
    ['recvfrom', 'a.recv(5).toString()'],
    ['recvfrom', 'datagrams.recvFrom(5).data.toString()'],
    ['sendto', "(b.send('x'), a.recvInto(Buffer.alloc(9)), 'hello')"],
    ['accept4', "(client.connect(listener.localAddress), listener.accept(), 'hello')"],
    ['sendmsg', "(a.sendFds([b]), 'hello')"],
    ['recvmsg', "(a.sendFds([b]), b.recvFds(1).fds.length === 1 ? 'hello' : '')"],
  ])('S103 %s interrupted three times in a row is called again: %s', async (call, expression) => {
    const outcome = await withFault(
      call,
      'error=EINTR:when=1..3',
      `
      const { Socket } = selectors;
      const any = { host: '127.0.0.1', port: 0 };
      const [a, b] = Socket.pair();
      const listener = new Socket().bind(any).listen();
      const client = new Socket();
      const datagrams = new Socket({ type: 'dgram' }).bind(any);
      ${call === 'recvfrom' ? "b.send('hello'); new Socket({ type: 'dgram' }).sendTo('hello', datagrams.localAddress);" : ''}
      console.log(${expression});
    `,
    );
    expect(outcome.stdout.trim()).toBe('hello');
    expect(outcome.injected).toBe(3);
  });

  it('no thread available: selectAsync rejects with EAGAIN, and works when a thread is available', async () => {
    const failed = async (): Promise<string> => {
      const own = (await callsOfNode('clone3')) + (await callsOfNode('clone'));
      const outcome = await withFault(
        'clone,clone3',
        `error=EAGAIN:when=${own + 1}`,
        `
        const selector = new selectors.DefaultSelector();
        selector.selectAsync({ timeout: 10 }).then(
          () => console.log('it waited'),
          async ({ code, syscall }) => {
            console.log(code, syscall, (await selector.selectAsync({ timeout: 10 })).length);
          },
        );
      `,
      );
      return outcome.stdout.trim();
    };
    // 'it waited': Node has started a thread more or less than when they were counted, and the fault hit another call or none.
    let output = await failed();
    for (let tries = 1; output === 'it waited' && tries < 5; tries++) output = await failed();
    expect(output).toBe('EAGAIN pthread_create 0');
  });

  it.each([
    ['epoll', 'epoll_wait'],
    ['poll', 'poll'],
    ['select', 'pselect6'],
  ])('S43 %s: a fraction of a millisecond is rounded up, and waited for in one call', async (mechanism, call) => {
    // If the timeout were rounded down, the last millisecond would be busy-waited (python/asyncio#106).
    const outcome = await withFault(
      call,
      'delay_enter=1',
      `
      const selector = selectors.createSelector('${mechanism}');
      const { writeSync } = require('node:fs');
      writeSync(2, 'BEGIN\\n');
      for (let i = 0; i < 30; i++) selector.select(1.5);
      writeSync(2, 'END\\n');
    `,
    );
    const between = outcome.stderr.slice(outcome.stderr.indexOf('BEGIN'), outcome.stderr.indexOf('END'));
    const calls = between.split(`${call}(`).length - 1;
    expect(calls).toBeGreaterThanOrEqual(30);
    expect(calls).toBeLessThanOrEqual(45); // a wait may end a little early and is then repeated
  });

  it('S21 modify of the data alone makes no system call', async () => {
    const outcome = await withFault(
      'epoll_ctl',
      'delay_enter=1',
      `
      const selector = new selectors.EpollSelector();
      const [a] = selectors.Socket.pair();
      selector.register(a, selectors.EVENT_READ, 0);
      const { writeSync } = require('node:fs');
      writeSync(2, 'BEGIN\\n');
      for (let i = 1; i <= 100; i++) selector.modify(a, selectors.EVENT_READ, i);
      writeSync(2, 'END\\n');
      console.log(selector.getKey(a).data);
    `,
    );
    expect(outcome.stdout.trim()).toBe('100');
    const between = outcome.stderr.slice(outcome.stderr.indexOf('BEGIN'), outcome.stderr.indexOf('END'));
    expect(between).not.toContain('epoll_ctl');
  });

  it('S34 descriptors are close-on-exec from their creation', async () => {
    const outcome = await withFault(
      'epoll_create1,eventfd2,socket,socketpair,accept4,dup,fcntl',
      'delay_enter=1',
      `
      const { EpollSelector, Socket } = selectors;
      require('node:fs').writeSync(2, 'BEGIN\\n');
      const selector = new EpollSelector();
      const listener = new Socket().bind({ host: '127.0.0.1', port: 0 }).listen();
      new Socket().connect(listener.localAddress);
      listener.accept();
      Socket.pair();
      listener.dup();
      require('node:fs').writeSync(2, 'END\\n');
    `,
    );
    const calls = outcome.stderr.slice(outcome.stderr.indexOf('BEGIN'), outcome.stderr.indexOf('END'));
    expect(calls).toContain('epoll_create1(EPOLL_CLOEXEC)');
    for (const line of calls.split('\n').filter((l) => /(eventfd2|socket|socketpair|accept4)\(/.test(l)))
      expect(line).toMatch(/CLOEXEC/);
    expect(calls).toContain('F_DUPFD_CLOEXEC');
    expect(calls).not.toMatch(/\bdup\(/);
  });
});

it('a program ends by itself when nothing is pending, also with an open selector', async () => {
  const { code, stdout } = await runProgram(`
    const selector = new selectors.DefaultSelector();
    selector.register(selectors.Socket.pair()[0], selectors.EVENT_WRITE);
    selector.selectAsync().then((ready) => console.log(ready.length));
  `);
  expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: '1' });
});
