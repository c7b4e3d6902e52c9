/** Slices of longer waits are marked in a trace: they are what a worker adds so that it can be terminated, and no part of a model. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProcessesTrace } from '../src/trace/processes-trace.js';
import { type SyscallRecord, formatRecord } from '../src/trace/record.js';
import { root, startProgram } from './support/program.js';

const load = (entry: string): string => `require(${JSON.stringify(join(root, 'dist', `${entry}.js`))})`;

/** The records of a program whose text runs in the main thread or in a worker. */
async function recordsOf(text: string, isInWorker: boolean): Promise<readonly SyscallRecord[]> {
  using trace = new ProcessesTrace();
  const program = isInWorker
    ? `new (require('node:worker_threads').Worker)(${JSON.stringify(text)}, { eval: true });`
    : text;
  expect(await startProgram(program, [], trace.env).ended).toMatchObject({ code: 0, stderr: '' });
  return trace.take();
}

const isWait = ({ name }: SyscallRecord): boolean =>
  /poll|select|epoll_p?wait|kevent|io_uring_enter|Queued/i.test(name);

describe('a thread pool with a silent client, for 300 ms', () => {
  const SERVE = `
    const server = ${load('servers')}.createServer('thread-pool', { workers: 1 });
    server.listen().then(({ port }) => {
      const client = require('node:net').connect(port, '127.0.0.1');
      setTimeout(() => {
        client.destroy();
        server.close();
      }, 300);
    });`;

  it('of a worker: each wait of accept and recv is a slice', async () => {
    const records = await recordsOf(SERVE, true);
    const slices = records.filter(({ isSlice }) => isSlice);
    expect(new Set(slices.map(({ thread }) => thread)).size).toBe(2); // the thread that accepts, and the worker
    expect(slices.length).toBeGreaterThanOrEqual(4);
    expect(slices.filter((record) => !isWait(record))).toEqual([]);
    for (const record of slices) expect(formatRecord(record)).toMatch(/ <slice>$/);
    const threads = new Set(slices.map(({ thread }) => thread));
    const others = records.filter((one) => isWait(one) && threads.has(one.thread) && !one.isSlice && !one.isProbe);
    expect(others.map(formatRecord)).toEqual([]);
  });

  // Windows cannot end a call of another thread, so that there all threads wait in slices.
  const isWindows = process.platform === 'win32';
  it.skipIf(isWindows)('of the main thread: there is no slice and no poll', async () => {
    const records = await recordsOf(SERVE, false);
    expect(records.filter(({ isSlice }) => isSlice)).toEqual([]);
    expect(records.some(({ name }) => name.startsWith('accept'))).toBe(true);
    expect(records.filter(({ name, isProbe }) => name.includes('poll') && !isProbe)).toEqual([]);
  });
});

describe('a wait with a timeout in a worker', () => {
  const POLL = `
    const { POLLIN, Poll } = ${load('syscalls')};
    // Windows sleeps without a socket, and a pair of them is made by waits.
    const socket = new (${load('index')}.Socket)().bind({ host: '127.0.0.1', port: 0 }).listen();
    const poll = new Poll();
    poll.register(socket, POLLIN);
    poll.poll(0);
    poll.poll(100);
    poll.poll(150);`;

  it('is a slice only where it is shorter than asked for', async () => {
    const slices = (records: readonly SyscallRecord[]) =>
      records.filter((one) => isWait(one) && !one.isProbe).map(({ isSlice }) => isSlice);
    const [none, whole, first, ...rest] = slices(await recordsOf(POLL, true));
    expect([none, whole, first]).toEqual([false, false, true]);
    expect(new Set(rest)).toEqual(new Set([false]));
    expect(slices(await recordsOf(POLL, false))).toEqual([false, false, false]);
  });
});
