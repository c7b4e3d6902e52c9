/** The trace compared with strace: the same calls of the same program. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProcessesTrace } from '../../src/trace/processes-trace.js';
import { type SyscallRecord, formatRecord } from '../../src/trace/record.js';
import { Bench } from '../support/bench.js';
import { Client } from '../support/client.js';
import { Program, programText, root } from '../support/program.js';
import { noStrace } from '../support/strace.js';
import { type StraceCall, isOfHandler, isOwn, readStraceLog } from '../support/strace-log.js';

const noStacks =
  noStrace !== '' || spawnSync('strace', ['-k', 'true']).status === 0 ? noStrace : ' — not here: strace has no -k';

/** All calls that these servers make on Linux, and more that they could make. */
const NAMES = [
  ...['socket', 'socketpair', 'bind', 'connect', 'listen', 'accept4', 'shutdown', 'getsockname', 'getpeername'],
  ...['setsockopt', 'getsockopt', 'recvfrom', 'sendto', 'sendmsg', 'recvmsg', 'close', 'fcntl', 'read', 'write'],
  ...['epoll_create1', 'epoll_ctl', 'epoll_wait', 'poll', 'pselect6', 'eventfd2'],
  ...['io_uring_setup', 'io_uring_enter', 'io_uring_register', 'rt_sigaction', 'rt_sigprocmask', 'clock_nanosleep'],
  ...['openat', 'newfstatat', 'fallocate', 'ftruncate', 'flock', 'mmap', 'munmap', 'madvise'],
];
/** strace prints more of their arguments: whole structs, of which the trace shows the relevant fields or the address. */
const ABBREVIATED = [
  'io_uring_setup',
  'io_uring_register',
  'io_uring_enter',
  'rt_sigaction',
  'rt_sigprocmask',
  'newfstatat',
];

const CLIENTS = 5;

interface Served {
  readonly loop: string;
  readonly application: string;
  readonly exchanges: number;
  readonly message: (i: number) => string;
}
const SERVERS: readonly Served[] = [
  {
    loop: 'Reactor({ selector: new EpollSelector() })',
    application: 'echo',
    exchanges: 12,
    message: () => 'hello, epoll\n',
  },
  {
    loop: 'Reactor({ selector: new PollSelector() })',
    application: 'chat',
    exchanges: 12,
    message: (i) => `{"user":"ann","text":"${i}"}\n`,
  },
  {
    loop: 'ProactorLoop({ proactor: new IoUringProactor() })',
    application: 'echo',
    exchanges: 60,
    message: () => 'hello, io_uring\n',
  },
];

/**
 * `selectors-native serve` without the rest of the command line, each server after the last one's SIGINT. In one process, because strace takes
 * a stack trace at each of the hundreds of calls that Node makes when it starts.
 */
const serving = programText(`const { serveOn } = require(${JSON.stringify(join(root, 'dist/servers/worker/serve.js'))});
    const { EpollSelector, PollSelector, IoUringProactor, ProactorLoop, Reactor } = selectors;
    const serve = (loop, application) => {
      const server = serveOn(loop, { host: '127.0.0.1', port: 0 }, application);
      loop.onSignal('SIGINT', () => server.stop());
      console.log('serves on', server.listener.address.port);
      loop.run();
      loop.close();
    };
    ${SERVERS.map(({ loop, application }) => `serve(new ${loop}, '${application}');`).join('\n')}`);

/** Serves the clients under strace, with the trace on. */
async function observed() {
  using bench = new Bench();
  using trace = new ProcessesTrace();
  const log = join(bench.folder(), 'strace');
  const strace = ['-f', '-k', '-o', log, '-e', `trace=${NAMES.join()}`, '-e', 'signal=none'];
  const program = bench.own(new Program('strace', [...strace, process.execPath, '-e', serving], trace.env));
  for (const [i, { exchanges, message }] of SERVERS.entries()) {
    const [, port] = await program.printed(new RegExp(`(?:serves on (\\d+)\\n){${i + 1}}`));
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        const client = bench.own(await Client.connect({ host: '127.0.0.1', port: Number(port) }));
        for (let sent = 0; sent < exchanges; sent++) {
          const before = client.bytes.length;
          client.write(Buffer.from(message(sent)));
          await client.receivedWhere('an answer', (bytes) => bytes.length > before);
        }
        await client.leave();
      }),
    );
    // strace ignores signals while it writes to a file.
    const { pid } = program.process;
    process.kill(Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')), 'SIGINT');
  }
  expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: '' });
  expect(trace.dropped).toBe(0);
  return { seen: readStraceLog(log), recorded: trace.take().filter(({ name }) => NAMES.includes(name)) };
}

/** Removes the trace's own calls: it maps its memory before it starts and unmaps it when it stops. */
function ownCalls(seen: readonly StraceCall[]): StraceCall[] {
  const own = seen.filter((call) => isOwn(call) && !isOfHandler(call));
  const mapped = own.find(({ name }) => name === 'mmap');
  const begun = own.slice(own.findIndex(({ name }) => name === 'close') + 1);
  return begun.filter(
    ({ name, arguments: args }) => name !== 'munmap' || !args.startsWith(`0x${mapped?.result.toString(16)},`),
  );
}

function byThread<T extends { readonly thread: number }>(calls: readonly T[]): Map<number, T[]> {
  const threads = new Map<number, T[]>();
  for (const call of calls) {
    const of = threads.get(call.thread);
    if (of === undefined) threads.set(call.thread, [call]);
    else of.push(call);
  }
  return threads;
}

const show = ({ name, arguments: args, result, error }: StraceCall): string =>
  `${name}(${args}) = ${result} ${error ?? ''}`;

/** Addresses are not compared: strace reads the memory later. */
const withoutAddresses = (args: string): string => args.replaceAll(/0x7f[0-9a-f]+/g, '0x7f…');

/** The differing calls: [strace's line, the trace's line]. */
function differences(seen: readonly StraceCall[], recorded: readonly SyscallRecord[]): string[][] {
  const [ofStrace, ofTrace] = [byThread(seen), byThread(recorded)];
  const different: string[][] = [];
  for (const thread of new Set([...ofStrace.keys(), ...ofTrace.keys()])) {
    const [these, those] = [ofStrace.get(thread) ?? [], ofTrace.get(thread) ?? []];
    for (let i = 0; i < Math.max(these.length, those.length); i++) {
      const [call, record] = [these[i], those[i]];
      const isSame =
        call?.name === record?.name &&
        call?.result === record?.result &&
        call?.error === record?.error &&
        (ABBREVIATED.includes(call?.name ?? '') ||
          withoutAddresses(call?.arguments ?? '') === withoutAddresses(record?.arguments ?? ''));
      if (!isSame) different.push([call ? show(call) : 'nothing', record ? formatRecord(record) : 'nothing']);
    }
  }
  return different;
}

describe('the trace agrees with strace', () => {
  const what = 'servers on epoll, poll and io_uring: the same names, arguments, results and order, in each thread';
  it.skipIf(noStacks)(`${what}${noStacks}`, async () => {
    const { seen, recorded } = await observed();
    const own = ownCalls(seen);
    expect(differences(own, recorded).slice(0, 20)).toEqual([]);
    // strace takes a stack trace at each call while the program waits: about 25 ms, several times that on a busy machine.
    expect(own.length).toBeGreaterThan(400);
    process.stdout.write(`   ${own.length} calls, 0 differences\n`);
  });
});
