/** `selectors-native trace` as a user runs it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SyscallRecord, SyscallSummary } from '../src/trace.js';
import { probe } from '../src/syscalls/probe.js';
import { Bench } from './support/bench.js';
import { Client } from './support/client.js';
import { childrenOf, isRunning } from './support/processes.js';
import { programText, root, startCli } from './support/program.js';
import { inTime, until } from './support/servers.js';

const isWindows = process.platform === 'win32';
const noSignals = isWindows ? ' — not here: Windows has no signals to send' : '';
const linuxOnly = process.platform === 'linux' ? '' : ' — not here: only Linux lists child processes';

/** `node -e` with the package loaded. */
const own = (body: string): readonly string[] => [process.execPath, '-e', programText(body)];
const POLLS = own(`const poll = new syscalls.Poll(); for (let i = 0; i < 7; i++) poll.poll(0); console.log('said');`);
/** At least the calls of POLLS; loading the package makes more. */
const MIN_CALLS = 7;
/** The call that waits: WSAPoll rejects an empty set, so Sleep is used on Windows. */
const waits = isWindows ? 'Sleep' : 'poll';

interface Lines {
  readonly records: readonly SyscallRecord[];
  readonly end: { readonly summary: readonly SyscallSummary[]; readonly dropped: number };
}

function linesOf(text: string): Lines {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  return { records: lines.slice(0, -1) as SyscallRecord[], end: lines.at(-1) as Lines['end'] };
}

/** Without what differs between runs: thread, descriptors, addresses. */
const withoutNumbers = (text: string): string =>
  text
    .replaceAll(/^\d+ /gm, '')
    .replaceAll(/fd=\d+|(?<=user_data=3 res=)\d+|(?<=enter\()\d+|0x[0-9a-f]+/g, 'N')
    .replaceAll(/[ |]SOCK_NONEMPTY/g, '');

describe('trace', () => {
  it('prints a line per call of any program, then a table; the program’s own output goes to standard error', async () => {
    const { stdout, stderr, code } = await startCli(['trace', ...POLLS]).ended;
    expect([stderr, code]).toEqual(['said\n', 0]);
    expect(stdout).not.toContain('\u001b[');
    const lines = stdout.split('\n').filter((line) => /^\d+ /.test(line));
    const waiting = lines.filter((line) => line.includes(` ${waits}(`));
    expect(waiting.length).toBeGreaterThanOrEqual(MIN_CALLS);
    expect(stdout).toMatch(/^│ calls │ errors │ +ms │ µs per call │ system call +│$/m);
    expect(stdout).toMatch(new RegExp(`^│ +${waiting.length} │ +0 │ +\\d+\\.\\d\\d │ +\\d+\\.\\d │ ${waits} +│$`, 'm'));
  });

  it('runs a command of its own by name, and ends with its exit code', async () => {
    const { stdout, code } = await startCli(['trace', '--all', '--summary-only', 'info', '--nonsense']).ended;
    expect(stdout).toContain('│ system call');
    expect(code).toBe(1);
    const other = await startCli(['trace', process.execPath, '-e', 'process.exit(7)']).ended;
    expect(other).toMatchObject({ code: 7, stdout: 'no system call of this package was made\n', stderr: '' });
  });

  it('--json: one record per line, and the summary', async () => {
    const { stdout } = await startCli(['trace', '--json', '--all', ...POLLS]).ended;
    const { records, end } = linesOf(stdout);
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, i) => i));
    expect(records.filter(({ name }) => name === waits).length).toBeGreaterThanOrEqual(MIN_CALLS);
    expect(end.summary.reduce((sum, { calls }) => sum + calls, 0)).toBe(records.length);
    expect(end.dropped).toBe(0);
  });

  it('--times: start and duration of each call', async () => {
    const { stdout } = await startCli(['trace', '--times', '--only', waits, ...POLLS]).ended;
    expect(stdout).toMatch(new RegExp(`^\\d+ +\\d+\\.\\d{3} ${waits}\\(.*\\) += 0.* <\\d+\\.\\d{3}>$`, 'm'));
  });

  it('--only: no other line and no other row; an empty result is reported', async () => {
    const { stdout } = await startCli(['trace', '--only', `${waits},nonsense`, '--json', ...POLLS]).ended;
    const { records, end } = linesOf(stdout);
    expect(new Set(records.map(({ name }) => name))).toEqual(new Set([waits]));
    expect(end.summary.map(({ name, calls }) => [name, calls])).toEqual([[waits, records.length]]);
    expect((await startCli(['trace', '--only', 'nonsense', ...POLLS]).ended).stdout).toBe('none of these was made\n');
  });

  it('probes of mechanisms are hidden without --all', async () => {
    const program = own('selectors.availableMechanisms(); new syscalls.Poll().poll(0);');
    const { stdout } = await startCli(['trace', ...program]).ended;
    const hidden = Number(/^(\d+) calls of probes are not shown: --all shows them$/m.exec(stdout)?.[1]);
    expect(hidden).toBeGreaterThan(1);
    const { records } = linesOf((await startCli(['trace', '--json', '--all', ...program]).ended).stdout);
    expect(records.filter(({ isProbe }) => isProbe)).toHaveLength(hidden);
    const shown = linesOf((await startCli(['trace', '--json', ...program]).ended).stdout).records;
    expect(shown.map(({ name }) => name)).toEqual(records.filter(({ isProbe }) => !isProbe).map(({ name }) => name));
    expect(shown.map(({ name }) => name)).toContain(waits);
  });

  it('the calls with which the server models find out what the system has are probes', async () => {
    const program = own(`require(${JSON.stringify(join(root, 'dist/servers.js'))});`);
    const { records } = linesOf((await startCli(['trace', '--json', '--all', ...program]).ended).stdout);
    expect(records.length).toBeGreaterThan(0);
    expect(records.filter(({ isProbe }) => !isProbe)).toEqual([]);
  });

  it('--filter: calls by name, as --only; with both, the names of both', async () => {
    const names = ['trace', '--json', '--filter', waits, ...POLLS];
    const { records } = linesOf((await startCli(names).ended).stdout);
    expect(new Set(records.map(({ name }) => name))).toEqual(new Set([waits]));
    const nothing = await startCli(['trace', '--filter', 'nonsense', '--only', 'nothing', ...POLLS]).ended;
    expect(nothing.stdout).toBe('none of these was made\n');
  });

  const noIoUring = probe('io_uring').available ? '' : ' — not here: no io_uring';
  const FILTER = 'io_uring_enter,submission,completion';
  it.skipIf(noIoUring)(`the sample in docs/trace.md is what a proactor over io_uring prints${noIoUring}`, async () => {
    using bench = new Bench();
    const serve = ['serve', 'proactor', '--mechanism', 'io_uring', '--port', '0'];
    const program = bench.own(startCli(['trace', '--filter', `${FILTER},getsockname`, ...serve]));
    const [, port] = await inTime('its port', program.printed(/getsockname\(.*sin_port=htons\((\d+)\)/));
    const client = bench.own(await Client.connect({ host: '127.0.0.1', port: Number(port) }));
    // Before the message: the loop first waits for it, then takes it.
    await inTime('its receive', program.printed(/ {2}RECV fd=(?!-1)/));
    client.write(Buffer.from('hello\n'));
    await client.receivedWhere('the echo', (bytes) => bytes.length === 6);
    await inTime('its send', program.printed(/user_data=5 res=6/));
    program.process.kill('SIGTERM');
    const { stdout } = await inTime('its end', program.ended);
    const document = readFileSync('docs/trace.md', 'utf8');
    const sample = /<!-- sample: [^]*?```\n([^]*?)```\n\n<!-- end of sample -->/.exec(document)?.[1] ?? 'no sample';
    expect(withoutNumbers(stdout)).toContain(withoutNumbers(sample));
    expect(stdout).toMatch(/^\d+ submissions and \d+ completions, which are no system calls$/m);
  });

  it.skipIf(noIoUring)(`--filter submission: is printed while the program runs${noIoUring}`, async () => {
    using bench = new Bench();
    const serve = ['serve', 'proactor', '--mechanism', 'io_uring', '--port', '0'];
    const program = bench.own(startCli(['trace', '--filter', 'submission', ...serve]));
    await inTime('its accept', program.printed(/ {2}ACCEPT fd=/));
    program.process.kill('SIGTERM');
    expect((await inTime('its end', program.ended)).stdout).not.toContain('io_uring_enter(');
  });

  it('--output: into a file; only the program’s own output is printed', async () => {
    using bench = new Bench();
    const file = join(bench.folder(), 'trace.txt');
    const { stdout, stderr, code } = await startCli(['trace', '--output', file, ...POLLS]).ended;
    expect([stdout, stderr, code]).toEqual(['', 'said\n', 0]);
    expect(readFileSync(file, 'utf8')).toContain(` ${waits}(`);
  });

  it.each([
    [['--output', join('no such folder', 'file'), 'info'], /^error: option '--output <file>' argument .* ENOENT/],
    [['--output', '.', 'info'], /^error: option '--output <file>' argument '\.' is invalid\. It is a folder\./],
    [['no-such-program'], /^selectors-native: spawn no-such-program ENOENT\n$/],
    [[], /^error: missing required argument 'command'/],
  ])('%j: a clear error', async (args, message) => {
    const { stdout, stderr, code } = await startCli(['trace', ...args]).ended;
    expect(stderr).toMatch(message);
    expect([stdout, code]).toEqual(['', 1]);
  });

  it('threads that end are recorded and end cleanly: unmapping their memory is a recorded call', async () => {
    const thread = JSON.stringify(programText('new selectors.DefaultSelector().close();'));
    const program = `const { Worker } = require('node:worker_threads');
      const start = (left) => left > 0 && new Worker(${thread}, { eval: true }).on('exit', () => start(left - 1));
      start(5);`;
    const outcome = await startCli(['trace', '--json', process.execPath, '-e', program]).ended;
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(new Set(linesOf(outcome.stdout).records.map((record) => record.thread)).size).toBe(5);
  });

  it('and so does the main thread', async () => {
    const outcome = await startCli(['trace', ...own('new selectors.DefaultSelector().close();')]).ended;
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('calls');
  });

  it.skipIf(isWindows)(`a server’s calls are printed as they are made; SIGTERM ends both${noSignals}`, async () => {
    using bench = new Bench();
    const program = bench.own(startCli(['trace', 'serve', 'reactor', '--mechanism', 'poll', '--port', '0']));
    await inTime('its listen', program.printed(/ listen\(\d+, \d+\) += 0/));
    // Its signal handlers are installed by then.
    await until('the server has started', () => program.stderr.includes('Ctrl-C ends it'));
    program.process.kill('SIGTERM');
    const { stdout, code } = await inTime('its end', program.ended);
    expect(stdout).toContain('│ system call');
    expect(code).toBe(0);
  });

  it.skipIf(linuxOnly !== '')(`a reader that stops reading does not leave the command behind${linuxOnly}`, async () => {
    using bench = new Bench();
    const program = bench.own(startCli(['trace', 'serve', 'busy-wait', '--port', '0']));
    await inTime('its first lines', program.printed(/\n/));
    const children = childrenOf(program.process.pid ?? -1);
    expect(children).toHaveLength(1);
    program.process.stdout?.destroy();
    await inTime('its end', program.ended);
    await until('that of its server', () => !children.some(isRunning));
  });
});
