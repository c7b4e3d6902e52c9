/** Fault plans: their effect on the calls of this thread, of workers, of a process, and on completions. */
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  EmulatedProactor,
  type EventLoop,
  IoUringProactor,
  IocpProactor,
  ProactorLoop,
  Reactor,
  Socket,
  createSelector,
} from '../src/index.js';
import { native } from '../src/native.js';
import { EVFILT_READ, EVFILT_WRITE, EV_DELETE, Kqueue, Poll, constants, kevent } from '../src/syscalls.js';
import { type Faults, injectFaults, startTrace } from '../src/trace.js';
import { Bench } from './support/bench.js';
import { resultOf } from './support/completion.js';
import { throwsCode } from './support/expect.js';
import { completionMechanisms, readinessMechanisms } from './support/mechanisms.js';
import { Program } from './support/program.js';
import { until } from './support/servers.js';
import { IS_OPEN, NOBODY, RECV, SEND, tracedText, workerText } from './support/traces.js';

const isWindows = process.platform === 'win32';
const mechanisms = readinessMechanisms.flatMap(({ mechanism, available }) => (available ? [mechanism] : []));

/** Injects a plan until the end of the test. */
const inject = (bench: Bench, ...given: Parameters<typeof injectFaults>): Faults => {
  const faults = injectFaults(...given);
  bench.atEnd(() => faults.stop());
  return faults;
};
/** Whether the one call of native.isOpen() fails with EIO. Without a plan it fails with EBADF. */
const EIO = isWindows ? 'EACCES' : 'EIO';
const isDisturbed = (): boolean => native.isOpen(NOBODY) !== native.badDescriptor;
const disturbed = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => i + 1).filter(() => isDisturbed());
const disturbedCalls = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => (isDisturbed() ? i + 1 : 0)).filter((number) => number > 0);

describe('a fault', () => {
  it('error: the call is not made, and fails', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    a.send('hello');
    const faults = inject(bench, 'recv:ECONNRESET@1');
    throwsCode('ECONNRESET', () => b.recv(100));
    expect(b.recv(100)?.toString()).toBe('hello');
    expect(faults.counts()).toEqual([{ rule: 'recv:ECONNRESET@1', calls: 2, injected: 1 }]);
  });

  it('EINTR: the call is made again, and no error is reported', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    const faults = inject(bench, 'recv:EINTR@1..4, send:EINTR@every2');
    for (const word of ['one', 'two', 'three']) {
      a.send(word);
      expect(b.recv(100)?.toString()).toBe(word);
    }
    expect(faults.counts().map(({ injected }) => injected)).toEqual([4, 2]);
  });

  it.each(mechanisms)('EINTR of a wait over %s: it goes on for the rest of its time', (mechanism) => {
    using bench = new Bench();
    const selector = bench.own(createSelector(mechanism));
    const faults = inject(
      bench,
      'select:EINTR@every2, poll:EINTR@every2, epoll_wait:EINTR@every2, kevent:EINTR@every2, ioctl:EINTR@every2, Sleep:EINTR@every2, GetQueuedCompletionStatusEx:EINTR@every2',
    );
    const began = performance.now();
    expect(selector.select(30)).toEqual([]);
    expect(selector.select(30)).toEqual([]);
    expect(performance.now() - began).toBeGreaterThanOrEqual(59);
    expect(faults.counts().reduce((sum, { injected }) => sum + injected, 0)).toBeGreaterThanOrEqual(1);
  });

  const kqueueRow = readinessMechanisms.find(({ mechanism }) => mechanism === 'kqueue');
  it.skipIf(kqueueRow?.available !== true)(
    `EINTR of kevent(2) without room for events: its changes are made, and only their own errors are reported${kqueueRow?.available ? '' : ` — not here: ${kqueueRow?.why}`}`,
    () => {
      using bench = new Bench();
      const [a, b] = bench.pair();
      const kqueue = bench.own(new Kqueue());
      const faults = inject(bench, 'kevent:EINTR@1, kevent:EINTR@3, kevent:EINTR@4');
      expect(kqueue.control([kevent(a.fd)], 0)).toEqual([]);
      b.send('x');
      expect(kqueue.control([], 4, 30_000).map(({ ident }) => ident)).toEqual([a.fd]);
      throwsCode('ENOENT', () => kqueue.control([kevent(a.fd, EVFILT_WRITE, EV_DELETE)], 0));
      expect(kqueue.control([kevent(a.fd, EVFILT_READ, EV_DELETE)], 0)).toEqual([]);
      expect(kqueue.control([], 4, 0)).toEqual([]);
      expect(faults.counts().map(({ injected }) => injected)).toEqual([1, 1, 1]);
    },
  );

  it('short: the call is made with a smaller length, and no byte is lost', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    inject(bench, 'send:short=2@every2, recv:short=3@1');
    expect([a.send('hello'), a.send('world')]).toEqual([5, 2]);
    expect(b.recv(100)?.toString()).toBe('hel');
    expect(b.recv(100)?.toString()).toBe('lowo');
  });

  it.skipIf(isWindows)('short of sendmsg and recvmsg: as many bytes, and the descriptors', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    inject(bench, 'sendmsg:short=3, recvmsg:short=2@1');
    expect(a.sendFds([a.fd], Buffer.from('hello'))).toBe(3);
    const first = b.recvFds(1, 100);
    expect(first?.data.toString()).toBe('he');
    for (const fd of first?.fds ?? []) bench.own(Socket.fromFd(fd));
    expect(first?.fds.length).toBe(1);
    expect(b.recvFds(1, 100)?.data.toString()).toBe('l');
  });

  it('slow: the thread sleeps before the call', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    inject(bench, 'send:slow=30@2');
    a.send('x');
    const began = performance.now();
    a.send('y');
    expect(performance.now() - began).toBeGreaterThanOrEqual(29);
    expect(b.recv(100)?.toString()).toBe('xy');
  });

  it('an error of close(2) is reported, and the descriptor is closed', () => {
    using bench = new Bench();
    const fd = native.socket(constants.AF_INET as number, constants.SOCK_STREAM as number, 0);
    const descriptor = new native.Descriptor(fd);
    inject(bench, `close:${EIO}@1`);
    expect(descriptor.close()).toBeLessThan(0);
    expect(native.isOpen(fd)).toBe(native.badDescriptor);
  });

  it.skipIf(isWindows)('EINTR of close(2): the descriptor is closed, and no error is reported (PEP 475)', () => {
    using bench = new Bench();
    const faults = inject(bench, 'close:EINTR');
    const socket = new Socket();
    const { fd } = socket;
    socket.close();
    expect(native.isOpen(fd)).toBe(native.badDescriptor);
    expect(faults.counts()[0]).toMatchObject({ injected: 1 });
  });

  it('EINPROGRESS of connect(2): the system goes on connecting', async () => {
    using bench = new Bench();
    const listener = bench.listener();
    const socket = bench.own(new Socket());
    inject(bench, isWindows ? 'connect:EAGAIN@1' : 'connect:EINPROGRESS@1');
    try {
      socket.connect(listener.localAddress);
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toMatch(/EINPROGRESS|EAGAIN/);
    }
    await until('it is connected', () => {
      const accepted = listener.accept();
      if (accepted !== null) bench.own(accepted);
      return accepted !== null;
    });
  });

  it('a rule for a call that this system lacks has no effect', () => {
    using bench = new Bench();
    const faults = inject(bench, isWindows ? `epoll_wait:${EIO}` : `WSARecv:${EIO}`);
    using poll = new Poll();
    poll.poll(0);
    expect(faults.counts()[0]).toMatchObject({ calls: 0, injected: 0 });
  });
});

describe('which calls', () => {
  it.each([
    ['', range(1, 12)],
    ['@3', [3]],
    ['@5..9', [5, 6, 7, 8, 9]],
    ['@10..', [10, 11, 12]],
    ['@every4', [4, 8, 12]],
  ])('%s', (when, expected) => {
    using bench = new Bench();
    const faults = inject(bench, `${IS_OPEN}:${EIO}${when}`);
    expect(disturbedCalls(12)).toEqual(expected);
    expect(faults.counts()).toEqual([{ rule: `${IS_OPEN}:${EIO}${when}`, calls: 12, injected: expected.length }]);
  });

  it('with a probability: the seed decides, reproducibly', () => {
    const chosen = (seed: number): number[] => {
      using bench = new Bench();
      inject(bench, `${IS_OPEN}:${EIO}@p=0.3, seed=${seed}`);
      return disturbedCalls(1000);
    };
    const first = chosen(7);
    expect(chosen(7)).toEqual(first);
    expect(chosen(8)).not.toEqual(first);
    // Six standard deviations of a binomial distribution.
    expect(Math.abs(first.length - 300)).toBeLessThan(87);
  });

  it('the first matching rule applies; each rule counts every call of its name', () => {
    using bench = new Bench();
    const first = inject(bench, `${IS_OPEN}:${EIO}@2, ${IS_OPEN}:EAGAIN@1..3`);
    const second = inject(bench, `${IS_OPEN}:ENOMEM@3..4`.replace('ENOMEM', isWindows ? 'EFAULT' : 'ENOMEM'));
    expect(disturbed(5).length).toBe(4);
    const counts = [first, second].flatMap((faults) => faults.counts());
    expect(counts.map(({ calls, injected }) => [calls, injected])).toEqual([
      [5, 1],
      [5, 2],
      [5, 1],
    ]);
  });
});

describe('the trace', () => {
  it('shows the injected faults, as strace does', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    inject(bench, 'send:short=2@1, recv:ECONNRESET@1, recv:slow=1@2');
    using trace = startTrace();
    a.send('hello');
    throwsCode('ECONNRESET', () => b.recv(9));
    b.recv(9);
    b.recv(9);
    trace.stop();
    expect(trace.records().map(({ name, result, error, fault }) => [name, result, error, fault])).toEqual([
      [SEND, 2, null, 'INJECTED'],
      [RECV, -1, 'ECONNRESET', 'INJECTED'],
      [RECV, 2, null, 'DELAYED'],
      [RECV, -1, 'EAGAIN', null],
    ]);
    const lines = trace.format().split('\n');
    expect(lines[0]).toMatch(/ = 2 \(INJECTED\)$/);
    expect(lines[1]).toMatch(/ = -1 ECONNRESET \(INJECTED\)$/);
    expect(lines[2]).toMatch(/ = 2 \(DELAYED\)$/);
    expect(lines[3]).toMatch(/ = -1 EAGAIN$/);
  });
});

describe('its end', () => {
  it('stop(): no further call is affected, and the counts stay; a second stop() does nothing', () => {
    const faults = injectFaults(`${IS_OPEN}:${EIO}`);
    expect(disturbed(3).length).toBe(3);
    faults.stop();
    faults.stop();
    expect(disturbed(3)).toEqual([]);
    expect(faults.counts()[0]).toMatchObject({ calls: 3, injected: 3 });
  });

  it('`using`: at the end of the block', () => {
    {
      using faults = injectFaults(`${IS_OPEN}:${EIO}`);
      expect(disturbed(1).length).toBe(1);
      expect(faults.counts()[0]?.injected).toBe(1);
    }
    expect(disturbed(1)).toEqual([]);
  });

  it('a collected object injects nothing any more', async () => {
    using bench = new Bench();
    const { stdout, stderr } = await bench.own(
      new Program(process.execPath, [
        '--expose-gc',
        '-e',
        tracedText(
          `injectFaults('${IS_OPEN}:${EIO}');
           const bad = mark(1);
           const timer = setInterval(() => {
             gc();
             if (mark(1) === bad) return;
             clearInterval(timer);
             console.log('collected');
           }, 1);`,
        ),
      ]),
    ).ended;
    expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: 'collected', stderr: '' });
  });
});

describe('scope', () => {
  it('thread: this one, and workers started after it, which share the counts', async () => {
    using bench = new Bench();
    const earlier = await startWorker(bench, ANSWER);
    const faults = inject(bench, `${IS_OPEN}:${EIO}@1..3`);
    const later = await startWorker(bench, ANSWER);
    expect(await ask(earlier)).toBe(native.badDescriptor);
    expect(await ask(later)).not.toBe(native.badDescriptor);
    expect(isDisturbed()).toBe(true);
    expect(await ask(later)).not.toBe(native.badDescriptor);
    expect(await ask(later)).toBe(native.badDescriptor);
    expect(isDisturbed()).toBe(false);
    expect(faults.counts()[0]).toMatchObject({ calls: 5, injected: 3 });
  });

  it('thread: stop() ends it for its workers, too', async () => {
    using bench = new Bench();
    const faults = inject(bench, `${IS_OPEN}:${EIO}`);
    const worker = await startWorker(bench, ANSWER);
    expect(await ask(worker)).not.toBe(native.badDescriptor);
    faults.stop();
    expect(await ask(worker)).toBe(native.badDescriptor);
    expect(await ask(await startWorker(bench, ANSWER))).toBe(native.badDescriptor);
    expect(faults.counts()[0]?.calls).toBe(1);
  });

  it('process: all threads, also earlier ones', async () => {
    using bench = new Bench();
    const earlier = await startWorker(bench, ANSWER);
    const faults = inject(bench, `${IS_OPEN}:${EIO}`, { scope: 'process' });
    const later = await startWorker(bench, ANSWER);
    for (const worker of [earlier, later]) expect(await ask(worker)).not.toBe(native.badDescriptor);
    expect(isDisturbed()).toBe(true);
    faults.stop();
    for (const worker of [earlier, later]) expect(await ask(worker)).toBe(native.badDescriptor);
    expect(isDisturbed()).toBe(false);
    expect(faults.counts()[0]).toMatchObject({ calls: 3, injected: 3 });
  });

  it('process: a worker’s plan ends with the worker', async () => {
    using bench = new Bench();
    const worker = await startWorker(
      bench,
      `const faults = injectFaults('${IS_OPEN}:${EIO}', { scope: 'process' });
       ${ANSWER}`,
    );
    await ask(worker);
    expect(isDisturbed()).toBe(true);
    await worker.terminate();
    await until('it has ended', () => !isDisturbed());
  });

  it('can start and stop while workers make calls', async () => {
    using bench = new Bench();
    const busy = await startWorker(bench, `on(() => undefined); for (;;) mark(0);`);
    for (let round = 0; round < 200; round++) {
      using faults = injectFaults(`${IS_OPEN}:${EIO}@every2`, { scope: 'process' });
      disturbed(10);
      await until('faults in the other thread', () => (faults.counts()[0]?.calls ?? 0) > 20);
      faults.stop();
      const { calls, injected } = faults.counts()[0] as { calls: number; injected: number };
      expect(injected).toBe(Math.floor(calls / 2));
    }
    await busy.terminate();
  });

  it('a process and its children, by the environment variable', async () => {
    using bench = new Bench();
    const program = bench.own(
      new Program(
        process.execPath,
        [
          '-e',
          tracedText(
            `const numbers = () => [1, 2, 3].map(() => mark(0) !== ${native.badDescriptor});
             const { Worker, isMainThread } = require('node:worker_threads');
             console.log(JSON.stringify(numbers()));
             if (process.argv[1] === 'child') process.exit();
             const worker = new Worker(${JSON.stringify(workerText(`post(mark(0) !== ${native.badDescriptor})`))}, { eval: true });
             worker.on('message', (is) => {
               console.log(is);
               const child = require('node:child_process').spawnSync(
                 process.execPath, ['-e', ${JSON.stringify(tracedText(`console.log(mark(0) !== ${native.badDescriptor})`))}]);
               console.log(String(child.stdout).trim() + String(child.stderr));
             });`,
          ),
        ],
        { SELECTORS_NATIVE_FAULTS: `${IS_OPEN}:${EIO}@1..4` },
      ),
    );
    const { stdout, stderr } = await program.ended;
    expect({ lines: stdout.trim().split('\n'), stderr }).toEqual({
      lines: ['[true,true,true]', 'true', 'true'],
      stderr: '',
    });
  });

  it('an invalid plan in the variable is a warning', async () => {
    using bench = new Bench();
    const { stdout, stderr, code } = await bench.own(
      new Program(process.execPath, ['-e', tracedText(`console.log(mark(0))`)], {
        SELECTORS_NATIVE_FAULTS: 'recv:EINTRR@1',
      }),
    ).ended;
    expect({ stdout: stdout.trim(), code }).toEqual({ stdout: String(native.badDescriptor), code: 0 });
    expect(stderr).toMatch(/SELECTORS_NATIVE_FAULTS: .*no error 'EINTRR'; did you mean EINTR\?; no fault is injected/);
  });
});

describe('completions', () => {
  it.each(mechanisms)('of emulated:%s: its plain calls', (mechanism) => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    const proactor = bench.own(new EmulatedProactor({ selector: createSelector(mechanism) }));
    inject(bench, 'recv:EINTR@1..3, recv:ECONNRESET@5, send:short=2@1');
    expect(resultOf(proactor, proactor.send(a, Buffer.from('hello')))).toBe(2);
    expect(resultOf(proactor, proactor.recv(b, 10))).toEqual(Buffer.from('he'));
    a.send('x');
    throwsCode('ECONNRESET', () => resultOf(proactor, proactor.recv(b, 10)));
    expect(resultOf(proactor, proactor.recv(b, 10))).toEqual(Buffer.from('x'));
  });

  const natives = completionMechanisms.filter(({ mechanism }) => ['io_uring', 'iocp'].includes(mechanism));
  const missing = natives.filter(({ available }) => !available).map(({ mechanism, why }) => `${mechanism}: ${why}`);
  it.skipIf(missing.length === 0)(`not here: ${missing.join('; ')}`, () => undefined);
  describe.each(natives.filter(({ available }) => available))('of $mechanism', ({ mechanism }) => {
    const start = (bench: Bench): IoUringProactor | IocpProactor =>
      bench.own(mechanism === 'iocp' ? new IocpProactor() : new IoUringProactor());

    it('error: the operation fails, and the kernel has consumed nothing', () => {
      using bench = new Bench();
      const [a, b] = bench.pair();
      const proactor = start(bench);
      const faults = inject(bench, 'recv.completion:ECONNRESET@1, send.completion:EPIPE@2');
      a.send('hello');
      throwsCode('ECONNRESET', () => resultOf(proactor, proactor.recv(b, 10)));
      expect(resultOf(proactor, proactor.recv(b, 10))).toEqual(Buffer.from('hello'));
      expect(resultOf(proactor, proactor.send(a, Buffer.from('one')))).toBe(3);
      throwsCode('EPIPE', () => resultOf(proactor, proactor.send(a, Buffer.from('two'))));
      expect(resultOf(proactor, proactor.send(a, Buffer.from('three')))).toBe(5);
      expect(b.recv(100)?.toString()).toBe('onethree');
      expect(faults.counts().map(({ calls, injected }) => [calls, injected])).toEqual([
        [2, 1],
        [3, 1],
      ]);
    });

    it('short: the operation has less memory, and no byte is lost', () => {
      using bench = new Bench();
      const [a, b] = bench.pair();
      const proactor = start(bench);
      inject(bench, 'recv.completion:short=2@1, send.completion:short=3@1');
      expect(resultOf(proactor, proactor.send(a, Buffer.from('hello')))).toBe(3);
      expect(resultOf(proactor, proactor.recv(b, 10))).toEqual(Buffer.from('he'));
      expect(resultOf(proactor, proactor.recv(b, 10))).toEqual(Buffer.from('l'));
    });

    it('ECANCELED: looks like a cancelled operation', () => {
      using bench = new Bench();
      const [a, b] = bench.pair();
      const proactor = start(bench);
      inject(bench, 'recv.completion:ECANCELED@1');
      throwsCode('ECANCELED', () => resultOf(proactor, proactor.recv(b, 10)));
      a.send('x');
      expect(resultOf(proactor, proactor.recv(b, 10))).toEqual(Buffer.from('x'));
    });

    it('cancelling an operation that a plan has failed keeps that error', () => {
      using bench = new Bench();
      const [, b] = bench.pair();
      const proactor = start(bench);
      inject(bench, 'recv.completion:ECONNRESET@1');
      const operation = proactor.recv(b, 10);
      operation.cancel();
      throwsCode('ECONNRESET', () => resultOf(proactor, operation));
    });

    it('files: a read and a write', () => {
      using bench = new Bench();
      const proactor = start(bench);
      const path = join(bench.folder(), 'file');
      const fd = openSync(path, 'w+');
      bench.atEnd(() => closeSync(fd));
      inject(bench, 'write.completion:ENOSPC@1, write.completion:short=2@2, read.completion:short=1@1');
      const write = (text: string): number => resultOf(proactor, proactor.write(fd, Buffer.from(text), 0));
      throwsCode('ENOSPC', () => write('hello'));
      expect(readFileSync(path, 'latin1')).toBe('');
      expect(write('hello')).toBe(2);
      expect(readFileSync(path, 'latin1')).toBe('he');
      expect(resultOf(proactor, proactor.read(fd, 10, 0))).toEqual(Buffer.from('h'));
      expect(resultOf(proactor, proactor.read(fd, 10, 0))).toEqual(Buffer.from('he'));
    });

    it('accept and connect: no connection is lost', () => {
      using bench = new Bench();
      const listener = bench.listener();
      const proactor = start(bench);
      inject(bench, 'accept.completion:EMFILE@1, connect.completion:ECONNREFUSED@1');
      const socket = bench.own(new Socket({ blocking: false }));
      throwsCode('ECONNREFUSED', () => resultOf(proactor, proactor.connect(socket, listener.localAddress)));
      resultOf(proactor, proactor.connect(socket, listener.localAddress));
      throwsCode('EMFILE', () => resultOf(proactor, proactor.accept(listener)));
      bench.own(resultOf(proactor, proactor.accept(listener)));
    });
  });
});

describe('a loop', () => {
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251));

  /** Echoes 5,000 bytes. @returns whether the same bytes came back, and the error code that close() received */
  function echoBytes(loop: EventLoop): { same: boolean; error: string | undefined } {
    const received: Buffer[] = [];
    let got = 0;
    let error: string | undefined;
    const listener = loop.listen({}, { data: (connection, chunk) => void connection.write(chunk) });
    loop.connect(listener.address, {
      open: (connection) => void connection.write(bytes),
      data(connection, chunk) {
        received.push(chunk);
        got += chunk.length;
        if (got >= bytes.length) connection.end();
      },
      close(_, why) {
        error = (why as NodeJS.ErrnoException | undefined)?.code;
        loop.stop();
      },
    });
    loop.run();
    return { same: Buffer.concat(received).equals(bytes), error };
  }

  const waits = ['select', 'poll', 'epoll_wait', 'kevent', 'ioctl', 'Sleep']
    .map((name) => `${name}:EINTR@every3`)
    .join();
  it.each(mechanisms)('over %s loses no byte when calls are interrupted, short and refused', (mechanism) => {
    using bench = new Bench();
    const errors: string[] = [];
    const onError = (error: unknown): void => void errors.push((error as NodeJS.ErrnoException).code ?? String(error));
    const loop = bench.own(new Reactor({ selector: createSelector(mechanism), onError }));
    const faults = inject(bench, `recv:EINTR@every2, send:short=7@every2, recv:short=99, accept:EMFILE@1..2, ${waits}`);
    expect(echoBytes(loop)).toEqual({ same: true, error: undefined });
    const injected = Object.fromEntries(faults.counts().map((count) => [count.rule, count.injected]));
    expect(injected).toMatchObject({ 'accept:EMFILE@1..2': 2 });
    expect(injected['recv:EINTR@every2']).toBeGreaterThan(10);
    expect(new Set(errors)).toEqual(new Set(['EMFILE']));
  });

  const ring = completionMechanisms.find(({ mechanism }) => mechanism === 'io_uring');
  it
    .skipIf(ring?.available !== true)
    .each([
      'recv.completion:short=7, send.completion:short=3@every2, accept.completion:EMFILE@1..2',
      'recv.completion:EINTR@every2, send.completion:EINTR@every2, accept.completion:EINTR@1',
      'recv.completion:short=99, send.completion:short=77, io_uring_enter:EINTR@every3',
      'recv.completion:short=99, send.completion:short=77, io_uring_enter:EAGAIN@every3',
    ])(`over io_uring loses no byte with %s${ring?.available ? '' : ` — not here: ${ring?.why}`}`, (plan) => {
    using bench = new Bench();
    const loop = bench.own(new ProactorLoop({ proactor: new IoUringProactor(), onError: () => undefined }));
    const faults = inject(bench, plan);
    expect(echoBytes(loop)).toEqual({ same: true, error: undefined });
    for (const { rule, injected } of faults.counts()) expect(injected, rule).toBeGreaterThan(0);
  });
});

// -------------------------------------------------------------------------------------------------------------------

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** Answers each message with the result of native.isOpen(). */
const ANSWER = `on(() => post(mark(0)));`;

async function startWorker(bench: Bench, body: string): Promise<Worker> {
  const worker = new Worker(workerText(body), { eval: true });
  bench.atEnd(() => void worker.terminate());
  await once(worker, 'online');
  return worker;
}

async function ask(worker: Worker): Promise<unknown> {
  const answered = once(worker, 'message') as Promise<unknown[]>;
  worker.postMessage(null);
  return (await answered)[0];
}
