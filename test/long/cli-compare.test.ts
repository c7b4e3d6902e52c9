/** `selectors-native compare` as a user runs it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Bench } from '../support/bench.js';
import { Surroundings, allSubjects } from '../support/comparison.js';
import { cli, startCli } from '../support/program.js';
import { isSlowHere, until } from '../support/servers.js';

const FEW = ['--connections', '2', '--messages', '20', '--rounds', '1'];
const isWindows = process.platform === 'win32';
const noSignals = isWindows ? ' — not here: Windows has no signals to send' : '';

describe('compare', () => {
  it('prints one table of 80 columns with its notes, without colours or progress when piped', async () => {
    const { stdout, stderr, code } = await startCli(['compare', 'reactor', 'node:net', ...FEW]).ended;
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout).not.toContain('\u001b[');
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/^│ subject +│ messages\/s │ system calls +│ +CPU, µs\/ │ round trip, +│$/m);
    expect(stdout).toMatch(/^│ +│ +│ per message +│ +message │ µs +│$/m);
    expect(stdout).toMatch(/^│ reactor +│ +[\d,]+ │ +\d+\.\d\d total +│ +\d+\.\d │ p50 +[\d,]+ *│$/m);
    expect(stdout).toMatch(/^│ node:net +│ +[\d,]+ │/m);
    expect(stdout).toMatch(/^work +echo: 2 connections, 20 messages of 64 bytes$/m);
    for (const label of ['system', 'processor', 'Node\\.js', 'system calls'])
      expect(stdout).toMatch(new RegExp(`^${label} +\\S`, 'm'));
  });

  it('an unknown figure is a dash, and a note gives the reason', async () => {
    using bench = new Bench();
    const { stdout, code } = await startCli(['compare', 'node:net', ...FEW], { PATH: bench.folder() }).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^│ node:net +│ +[\d,]+ │ — +│/m);
    expect(stdout.replace(/\s+/g, ' ')).toMatch(/not counted: .*strace.* — not measurable on this system/);
  });

  it('--json is for machines: an unknown figure is null', async () => {
    using bench = new Bench();
    const args = ['compare', 'node:net', ...FEW, '--size', '100', '--json'];
    const { stdout } = await startCli(args, { PATH: bench.folder() }).ended;
    const answer = JSON.parse(stdout) as Record<string, unknown>;
    expect(answer).toMatchObject({
      ...{ connections: 2, messages: 20, size: 100 },
      machine: { 'Node.js': process.versions.node, processor: expect.any(String) },
      rows: [{ subject: 'node:net', messages: 20, syscalls: [], syscallsPerMessage: null }],
    });
  });

  it('--html writes a self-contained page', async () => {
    using bench = new Bench();
    const file = join(bench.folder(), 'report.html');
    const { stdout, stderr, code } = await startCli(['compare', 'reactor', ...FEW, '--html', file]).ended;
    expect([stderr, code]).toEqual([`the report is in ${file}\n`, 0]);
    expect(stdout).toContain('│ reactor ');
    const page = readFileSync(file, 'utf8');
    expect(page).toMatch(/^<!doctype html>/i);
    expect(page).toContain('2 connections, 20 messages of 64 bytes');
  });

  it('--html into a missing folder: an error before anything is measured', async () => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    const file = join(bench.folder(), 'none', 'report.html');
    const { stdout, stderr, code } = await startCli(['compare', '--html', file], surroundings.env).ended;
    expect(stderr).toMatch(/^error: option '--html <file>' argument '.*' is invalid\. ENOENT/);
    expect([stdout, code]).toEqual(['', 1]);
  });

  it('--list prints every subject, those of the default with a star', async () => {
    const { stdout, code } = await startCli(['compare', '--list']).ended;
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    for (const { name, isAvailable } of allSubjects()) {
      const line = lines.find((one) => one.slice(2).split(' ')[0] === name);
      expect(line, name).toBeDefined();
      expect(line?.includes('not here: ')).toBe(!isAvailable);
    }
    expect(lines).toEqual(expect.arrayContaining(['* reactor:select', '* thread-pool', '* node:net', '  busy-wait']));
  });

  const mistakes = [
    [
      ['nonsense'],
      /^selectors-native: unknown subject 'nonsense'; this system has: .*reactor:poll, .*node:net, .*http:node\n$/,
    ],
    [['iterative'], /^selectors-native: iterative cannot serve 50 connections at a time: /],
    [['thread-pool', '--workers', '3'], /^selectors-native: thread-pool cannot serve 50 .*: each of its 3 workers /],
    [['--connections', '0'], /^error: option '--connections <number>' argument '0' is invalid/],
    [
      ['--messages', '10000001'],
      /^selectors-native: messages must be a whole number from 1 to 10000000, not 10000001\n$/,
    ],
    [['--size', 'many'], /^error: option '--size <bytes>' argument 'many' is invalid/],
  ] as const;
  it.each(isSlowHere ? mistakes.slice(0, 1) : mistakes)('%j: a clear error', async (args, message) => {
    const { stdout, stderr, code } = await startCli(['compare', ...args]).ended;
    expect(stderr).toMatch(message);
    expect([stdout, code]).toEqual(['', 1]);
  });
});

describe.skipIf(isWindows)(`compare, interrupted${noSignals}`, () => {
  /** Starts it in its own process group, as a shell does. */
  function start(bench: Bench, surroundings: Surroundings, args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [cli, 'compare', ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...surroundings.env },
    });
    bench.atEnd(() => child.kill('SIGKILL'));
    return child;
  }
  const noProc = process.platform === 'linux' ? '' : ' — not here: there is no /proc to find them by';
  const endless = ['--connections', '4', '--messages', '10000000'];

  it.skipIf(noProc !== '').each([
    ['SIGINT', 130, true],
    ['SIGINT', 130, false],
    ['SIGTERM', 143, false],
  ] as const)(
    `%s: exit code %i, and neither a process nor a file is left (to the group: %s)${noProc}`,
    async (signal, code, toGroup) => {
      using bench = new Bench();
      const surroundings = new Surroundings(bench);
      const child = start(bench, surroundings, ['prefork:lock', ...endless]);
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (bytes: Buffer) => (output += bytes.toString()));
      const closed = once(child, 'close');
      // The command itself, the server with its four processes, and the clients.
      await until('all are at work', () => surroundings.processes().length >= 7);
      const pid = child.pid as number;
      process.kill(toGroup ? -pid : pid, signal);
      expect(await closed).toEqual([code, null]);
      expect(output).toBe('');
      expect(surroundings.leftOver()).toEqual([]);
    },
  );

  it.skipIf(noProc !== '')(`killed: the processes that it has started end by themselves${noProc}`, async () => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    const child = start(bench, surroundings, ['prefork:lock', ...endless]);
    const closed = once(child, 'exit');
    await until('all are at work', () => surroundings.processes().length >= 7);
    child.kill('SIGKILL');
    await closed;
    await until('they have ended', () => surroundings.processes().length === 0);
  });

  it.skipIf(noProc !== '')(`a subject that fails: its output, and nothing is left${noProc}`, async () => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    const command = `ulimit -n 90; exec "${process.execPath}" "${cli}" compare reactor --connections 200 --messages 200`;
    const { status, stderr } = spawnSync('sh', ['-c', command], {
      encoding: 'utf8',
      env: { ...process.env, ...surroundings.env },
    });
    expect(stderr).toMatch(/^selectors-native: reactor: a process of the measurement ended with exit code 1: .*EMFILE/);
    expect(status).toBe(1);
    expect(surroundings.leftOver()).toEqual([]);
  });

  const script = ['/usr/bin/script', '/bin/script'].find((path) => process.platform === 'linux' && existsSync(path));
  it.skipIf(script === undefined)(
    `on a terminal, a bar shows the progress${script === undefined ? ' — not here: script(1) is not installed' : ''}`,
    () => {
      const command = `"${process.execPath}" "${cli}" compare reactor ${FEW.join(' ')}`;
      const { stdout } = spawnSync(script ?? '', ['-qec', command, '/dev/null'], {
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '' },
      });
      expect(stdout).toMatch(/░ 0 % reactor/);
      expect(stdout).toMatch(/█/);
      expect(stdout).toContain('│ \u001b[1mreactor');
    },
  );
});
