/** /dev/poll: its limits, and its calls in a trace. On Linux over a stand-in for the device (test/native/as-devpoll.c): npm run test:devpoll. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { DevpollSelector, EVENT_READ, EVENT_WRITE } from '../src/index.js';
import { Devpoll, POLLIN, POLLOUT } from '../src/syscalls.js';
import { injectFaults, startTrace } from '../src/trace.js';
import { Bench } from './support/bench.js';
import { placeOf, readinessMechanisms } from './support/mechanisms.js';
import { Program, answerOf, programText } from './support/program.js';

const row = readinessMechanisms.find(({ mechanism }) => mechanism === 'devpoll');
const isHere = row?.available === true;
const notHere = isHere ? '' : ` — not here: ${row?.why}; npm run test:devpoll`;

describe.skipIf(!isHere)(`devpoll on ${placeOf('devpoll')}${notHere}`, () => {
  it('the trace shows the entries of a write, and the rows of DP_POLL and DP_ISPOLLED', () => {
    using bench = new Bench();
    const [a, b] = bench.pair();
    const devpoll = bench.own(new Devpoll());
    b.send('x');
    using trace = startTrace();
    devpoll.modify(a, POLLIN);
    devpoll.poll(1000, 4);
    devpoll.eventsOf(a);
    const calls = trace.records().map((one) => `${one.name}(${one.arguments}) = ${one.result}`);
    expect(calls).toEqual([
      `write(${devpoll.fd}, [{fd=${a.fd}, events=POLLREMOVE}, {fd=${a.fd}, events=POLLIN}], 16) = 16`,
      `ioctl(${devpoll.fd}, DP_POLL, {dp_fds=[{fd=${a.fd}, revents=POLLIN}], dp_nfds=4, dp_timeout=1000}) = 1`,
      `ioctl(${devpoll.fd}, DP_ISPOLLED, {fd=${a.fd}, revents=POLLIN}) = 1`,
    ]);
  });

  it('a selector writes once for a registration and for its end, and POLLREMOVE with the new events for a change', () => {
    using bench = new Bench();
    const [a] = bench.pair();
    const selector = bench.own(new DevpollSelector());
    using trace = startTrace();
    selector.register(a, EVENT_READ);
    selector.modify(a, EVENT_WRITE);
    selector.modify(a, EVENT_WRITE, 'other data');
    selector.unregister(a);
    const written = trace.records().filter(({ name }) => name === 'write');
    expect(written.map((one) => one.arguments)).toEqual([
      `${selector.fd}, [{fd=${a.fd}, events=POLLIN}], 8`,
      `${selector.fd}, [{fd=${a.fd}, events=POLLREMOVE}, {fd=${a.fd}, events=POLLOUT}], 16`,
      `${selector.fd}, [{fd=${a.fd}, events=POLLREMOVE}], 8`,
    ]);
    expect(trace.records().filter(({ name }) => !['write', 'fcntl'].includes(name))).toEqual([]);
  });

  it('RLIMIT_NOFILE: a larger write and a larger DP_POLL are refused; a selector goes on when the limit is lowered', async () => {
    using bench = new Bench();
    const program = bench.own(
      new Program(process.execPath, [
        '-e',
        programText(`
          const { Devpoll, POLLOUT, Poll } = syscalls;
          const { DevpollSelector, EVENT_WRITE, Socket } = selectors;
          const sockets = Array.from({ length: 150 }, () => Socket.pair()).flat();
          const selector = new DevpollSelector();
          for (const one of sockets) selector.register(one, EVENT_WRITE);
          const before = selector.select(0).length;
          const devpoll = new Devpoll();
          console.log('ready');
          process.stdin.once('data', () => {
            const codeOf = (call) => { try { return call() ?? 'nothing'; } catch (error) { return error.code; } };
            const seen = new Set();
            for (let i = 0; i < 4; i++) for (const [key] of selector.select(1000)) seen.add(key.fd);
            const answer = [
              before, seen.size, selector.select(0).length,
              codeOf(() => devpoll.write(Array(200).fill({ fd: sockets[0], events: POLLOUT }))),
              codeOf(() => devpoll.write(Array(201).fill({ fd: sockets[0], events: POLLOUT }))),
              codeOf(() => devpoll.poll(0, 199).length), codeOf(() => devpoll.poll(0, 200)),
            ];
            console.log(JSON.stringify(answer));
            process.exit();
          });
        `),
      ]),
    );
    await program.printed(/ready/);
    execFileSync('prlimit', [`--pid=${program.process.pid}`, '--nofile=200:']);
    program.process.stdin?.write('go\n');
    // 300 sockets, and at most 199 of them per call.
    expect(await answerOf(program.ended)).toEqual([300, 300, 199, 'nothing', 'EINVAL', 1, 'EINVAL']);
  });

  it('a DP_POLL that a fault plan makes short reports the others next, and EINTR is not noticed', () => {
    using bench = new Bench();
    const devpoll = bench.own(new Devpoll());
    const sockets = bench.pair();
    devpoll.write(sockets.map((fd) => ({ fd, events: POLLOUT })));
    using _faults = injectFaults('ioctl:short=1@1..2,write:EINTR@1,ioctl:EINTR@3');
    const rows = [devpoll.poll(0), devpoll.poll(0)].flat();
    expect(new Set(rows.map(({ fd }) => fd))).toEqual(new Set(sockets.map(({ fd }) => fd)));
    expect(rows.length).toBe(2);
    devpoll.unregister(sockets[0]);
    expect(devpoll.poll(0)).toEqual([{ fd: sockets[1].fd, events: POLLOUT }]);
  });
});
