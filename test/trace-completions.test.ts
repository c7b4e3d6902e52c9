/** Submissions and completions of io_uring in the trace: which there are, in which order, and that they are no calls. */
import { describe, expect, it } from 'vitest';
import { IoUringProactor, ProactorLoop, Socket } from '../src/index.js';
import { ioUringCalls } from '../src/native.js';
import { constants } from '../src/syscalls.js';
import { probe } from '../src/syscalls/probe.js';
import { type SyscallRecord, injectFaults, startTrace } from '../src/trace.js';
import { formatRecord } from '../src/trace/record.js';

const noIoUring = probe('io_uring').available ? '' : ' — not here: no io_uring';

/** `user_data=7` as a number. */
const numberOf = ({ arguments: args }: SyscallRecord): number => Number(/user_data=(\d+)$/.exec(args)?.[1]);
const isOperation = ({ kind }: SyscallRecord): boolean => kind !== 'call';
/** Whether the kernel sets SOCK_NONEMPTY depends on the state of the socket at that moment. */
const lineOf = (record: SyscallRecord): string => formatRecord(record).replace(/[ |]SOCK_NONEMPTY/, '');

interface Echo {
  readonly records: readonly SyscallRecord[];
  readonly summed: ReadonlyMap<string, number>;
  readonly listener: number;
  readonly connection: number;
  readonly wake: number;
}

/** A client sends hello and again to an echo server, and closes. Everything in this thread. */
function echo(): Echo {
  using trace = startTrace();
  using loop = new ProactorLoop({ proactor: new IoUringProactor() });
  const client = new Socket();
  let connection = -1;
  let received = 0;
  const listener = loop.listen(
    { host: '127.0.0.1', port: 0 },
    {
      data(server, chunk) {
        connection = server.fd;
        server.write(chunk);
        loop.callLater(1, receive);
      },
      close() {
        listener.close();
        loop.callLater(1, () => loop.stop());
      },
    },
  );
  // Without waiting: on a busy machine a timer is due before the loop has sent the reply, and this thread runs both.
  const receive = (): void => {
    const bytes = client.recv(100, constants.MSG_DONTWAIT);
    if (bytes === null) return void loop.callLater(1, receive);
    received += bytes.length;
    if (received === 5) client.send('again');
    else client.close();
  };
  client.connect(listener.address);
  client.send('hello');
  loop.run();
  loop.close();
  trace.stop();
  const records = trace.records();
  const fd = Number(/^listen\((\d+),/m.exec(trace.format())?.[1]);
  const wake = Number(/fd=(\d+) events=POLLIN MULTISHOT/.exec(trace.format())?.[1]);
  const summed = new Map(trace.summary().map(({ name, calls }) => [name, calls]));
  return { records, summed, listener: fd, connection, wake };
}

describe.skipIf(noIoUring)(`submissions and completions of io_uring${noIoUring}`, () => {
  it('an echo over ProactorLoop: multishot accept and receive, sends, cancels', () => {
    const { records, listener, connection, wake } = echo();
    const operations = records.filter(isOperation).map(lineOf);
    expect(operations).toEqual([
      `POLL_ADD fd=${wake} events=POLLIN MULTISHOT user_data=1`,
      'RECV fd=-1 buf_group=0 MULTISHOT user_data=2',
      'user_data=2 res=-EBADF',
      `ACCEPT fd=${listener} flags=SOCK_CLOEXEC|SOCK_NONBLOCK MULTISHOT user_data=3`,
      `user_data=3 res=${connection} MORE`,
      `RECV fd=${connection} buf_group=0 MULTISHOT user_data=4`,
      'user_data=4 res=5 MORE|BUFFER(0)',
      `SEND fd=${connection} addr="hello" len=5 flags=MSG_DONTWAIT|MSG_NOSIGNAL user_data=5`,
      'user_data=5 res=5',
      'user_data=4 res=5 MORE|BUFFER(1)',
      `SEND fd=${connection} addr="again" len=5 flags=MSG_DONTWAIT|MSG_NOSIGNAL user_data=6`,
      'user_data=6 res=5',
      'user_data=4 res=0',
      'ASYNC_CANCEL addr=3 user_data=7',
      'user_data=7 res=0',
      'user_data=3 res=-ECANCELED',
      'user_data=1 res=1 MORE', // stop() wakes the loop
      'ASYNC_CANCEL flags=ALL|ANY user_data=8',
      'user_data=8 res=1',
      'user_data=1 res=-ECANCELED',
    ]);
  });

  it('each completion belongs to a submission, has its name, and only the last has no MORE', () => {
    const { records } = echo();
    const submissions = records.filter(({ kind }) => kind === 'submission');
    const completions = records.filter(({ kind }) => kind === 'completion');
    expect(submissions.map(numberOf)).toEqual(submissions.map((_, i) => i + 1));
    for (const submission of submissions) {
      const own = completions.filter((one) => numberOf(one) === numberOf(submission));
      expect(own.map(({ name }) => name)).toEqual(own.map(() => submission.name));
      expect(own.every(({ sequence }) => sequence > submission.sequence)).toBe(true);
      expect(own.map(({ returned }) => returned.includes('MORE'))).toEqual(own.map((_, i) => i < own.length - 1));
    }
    expect(new Set(completions.map(numberOf))).toEqual(new Set(submissions.map(numberOf)));
  });

  it('stand before the io_uring_enter that submits them, as many as it submits', () => {
    const { records } = echo();
    let submitted = 0;
    for (const { kind, name, arguments: args, result } of records) {
      if (kind === 'submission') submitted++;
      if (kind !== 'call' || name !== 'io_uring_enter') continue;
      expect(Number(args.split(', ')[1])).toBe(submitted);
      expect(Math.max(result, 0)).toBe(submitted); // -1: ETIME, with nothing to submit
      submitted = 0;
    }
    expect(submitted).toBe(0);
  });

  it('are not counted: summary() has calls alone', () => {
    const { records, summed } = echo();
    const calls = records.filter(({ kind }) => kind === 'call');
    expect(calls.length).toBeLessThan(records.length);
    expect([...summed.values()].reduce((sum, one) => sum + one, 0)).toBe(calls.length);
    expect([...summed.keys()]).not.toContain('RECV');
  });

  /** The operations of `use`, as lines. */
  function linesOf(use: (ring: InstanceType<NonNullable<typeof ioUringCalls>['IoUring']>) => void): string[] {
    using trace = startTrace();
    const ring = new (ioUringCalls as NonNullable<typeof ioUringCalls>).IoUring();
    ring.open(8, 0);
    use(ring);
    ring.close(1000);
    return trace.records().filter(isOperation).map(formatRecord);
  }

  it('show the fields of each opcode, and errors by name', () => {
    const [one, other] = Socket.pair();
    const lines = linesOf((ring) => {
      ring.nop(1);
      ring.timeout(1.5, 1);
      ring.sendmsg(one.fd, Buffer.from('hi\n'), new Uint8Array(), 0, 1);
      ring.enter(3, -1);
      ring.completions(3);
      ring.recvmsg(other.fd, 100, 0, 2);
      ring.write(one.fd, Buffer.from('pipe'), -1, 2);
      ring.enter(2, -1);
      ring.completions(2);
      ring.read(other.fd, 100, -1, 3);
      ring.pollAdd(one.fd, 4, 4);
      ring.recv(one.fd, 10, 0x40, 5);
      ring.accept(one.fd, 0, 6);
      ring.cancel(99, 7);
      ring.enter(5, -1);
      ring.completions(5);
    });
    one.close();
    other.close();
    const submitted = lines.filter((line) => !line.startsWith('user_data'));
    expect(submitted.map((line) => line.replace(/fd=\d+/, 'fd=N'))).toEqual([
      'NOP user_data=1',
      'TIMEOUT addr={tv_sec=0, tv_nsec=1500000} off=0 user_data=2',
      'SENDMSG fd=N iov=["hi\\n"] len=3 flags=MSG_NOSIGNAL user_data=3',
      'RECVMSG fd=N len=100 user_data=4',
      'WRITE fd=N addr="pipe" len=4 off=-1 user_data=5',
      'READ fd=N len=100 off=-1 user_data=6',
      'POLL_ADD fd=N events=POLLOUT user_data=7',
      'RECV fd=N len=10 flags=MSG_DONTWAIT user_data=8',
      'ACCEPT fd=N flags=SOCK_CLOEXEC user_data=9',
      'ASYNC_CANCEL addr=unknown user_data=10',
    ]);
    const completed = lines.filter((line) => line.startsWith('user_data')).sort();
    expect(completed).toEqual(
      [
        'user_data=1 res=0',
        'user_data=2 res=-ETIME',
        'user_data=3 res=3',
        'user_data=4 res=3',
        'user_data=5 res=4',
        'user_data=6 res=4',
        'user_data=7 res=4',
        'user_data=8 res=-EAGAIN',
        'user_data=9 res=-EINVAL',
        'user_data=10 res=-ENOENT',
      ].sort(),
    );
  });

  it('a trace that begins later shows completions of unknown submissions; one that ends leaves nothing behind', () => {
    const ring = new (ioUringCalls as NonNullable<typeof ioUringCalls>).IoUring();
    ring.open(8, 0);
    ring.nop(1);
    ring.enter(0, 0);
    const lines: string[] = [];
    for (let i = 0; i < 3; i++) {
      using trace = startTrace();
      ring.enter(1, -1);
      ring.completions(9);
      ring.nop(2);
      ring.enter(0, 0);
      lines.push(
        ...trace
          .records()
          .filter(isOperation)
          .map(({ name, ...rest }) => `${name}: ${formatRecord({ name, ...rest })}`),
      );
    }
    ring.close(0);
    expect(lines).toEqual([
      'unknown: user_data=1 res=0',
      'NOP: NOP user_data=2',
      'NOP: user_data=2 res=0',
      'NOP: NOP user_data=3',
      'NOP: user_data=3 res=0',
      'NOP: NOP user_data=4',
    ]);
  });

  it('an injected error is marked on both: the operation is shown as it would have been', () => {
    const [one, other] = Socket.pair();
    const faults = injectFaults('recv.completion:ECONNRESET@1, send.completion:short=2@1');
    const lines = linesOf((ring) => {
      ring.recv(one.fd, 10, 0, 1);
      ring.send(other.fd, Buffer.from('hello'), 0, 2);
      ring.enter(2, -1);
      ring.completions(2);
    });
    faults.stop();
    one.close();
    other.close();
    expect(lines.map((line) => line.replace(/fd=\d+/, 'fd=N')).sort()).toEqual([
      'RECV fd=N len=10 user_data=1 (INJECTED)',
      'SEND fd=N addr="hello" len=5 flags=MSG_NOSIGNAL user_data=2 (INJECTED)',
      'user_data=1 res=-ECONNRESET (INJECTED)',
      'user_data=2 res=2',
    ]);
  });
});
