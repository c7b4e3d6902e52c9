/** The command line's server models as a user runs them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ACCEPT_STRATEGIES, SERVER_MODELS } from '../src/servers.js';
import { showAddress } from '../src/servers/worker/serve.js';
import { Bench } from './support/bench.js';
import { childrenOf, isRunning } from './support/processes.js';
import { client, describeServed, describeStrategies, guest, noSignals, serve } from './support/cli-servers-cases.js';
import { cli, startCli } from './support/program.js';
import { FEW, until } from './support/servers.js';

describe('an address', () => {
  const raw = (path: string): Uint8Array => Buffer.concat([Buffer.from([1, 0]), Buffer.from(path, 'latin1')]);
  it.skipIf(process.platform !== 'linux').each([
    [{ host: '127.0.0.1', port: 80 }, '127.0.0.1:80'],
    [{ host: '::1', port: 80 }, '[::1]:80'],
    [{ path: '/tmp/gr\u00fc\u00dfe' }, '/tmp/gr\u00fc\u00dfe'],
    [{ path: '\0name\u001b[2J' }, '\\x00name\\x1b[2J'],
    [{ raw: raw('/tmp/caf\xe9\xff') }, '/tmp/caf\\xe9\\xff'],
    [{ raw: Uint8Array.of(17, 0, 8, 0) }, 'an address of another family'],
  ])('%j is shown as %s — Linux numbers its families so', (address, shown) => {
    expect(showAddress(address)).toBe(shown);
  });
});

describe('models', () => {
  it('is a table of 80 columns, without colours when piped, with each model and its data', async () => {
    const { stdout, code } = await startCli(['models']).ended;
    expect(code).toBe(0);
    expect(stdout).not.toContain('\u001b[');
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    const words = (text: string) => text.replace(/[│\s]+/g, ' ');
    const cells = stdout.split('\n').filter((line) => line.startsWith('│'));
    const right = words(cells.map((line) => line.split('│')[2]).join(' '));
    for (const { name, summary, strengths, weaknesses, why } of SERVER_MODELS) {
      expect(stdout).toMatch(new RegExp(`^│ ${name} `, 'm'));
      for (const text of [summary, `+ ${strengths}`, `- ${weaknesses}`, why]) expect(right).toContain(words(text));
    }
    for (const { name } of ACCEPT_STRATEGIES) expect(stdout).toMatch(new RegExp(`^│ ${name} `, 'm'));
    expect(stdout, 'a word was cut').not.toContain('…');
  });

  it('is JSON for machines', async () => {
    const [all, one] = await Promise.all([
      startCli(['models', '--json']).ended,
      startCli(['models', 'prefork', '--json']).ended,
    ]);
    expect(JSON.parse(all.stdout)).toEqual({ models: SERVER_MODELS, acceptStrategies: ACCEPT_STRATEGIES });
    expect(JSON.parse(one.stdout)).toEqual(SERVER_MODELS.find(({ name }) => name === 'prefork'));
  });

  it('shows one in full: its options, and its source file', async () => {
    const { stdout, code } = await startCli(['models', 'thread-pool']).ended;
    expect(stdout).toMatch(/^thread-pool: blocking I\/O/);
    expect(stdout).toMatch(/options .*--workers --max-queued/);
    expect(stdout).toMatch(/source +.*src[/\\]servers[/\\]models[/\\]thread-pool\.ts\n/);
    expect(stdout).toContain('selectors-native serve thread-pool');
    expect(code).toBe(0);
  });
});

const few = SERVER_MODELS.filter(({ name, isAvailable }) => isAvailable && FEW.includes(name));

describeServed(few);
describeStrategies(ACCEPT_STRATEGIES.filter(({ name, isAvailable }) => isAvailable && name === 'lock'));

describe('serve MODEL', () => {
  it('chat, with the models that keep all connections in one place', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, ['busy-wait', '--app', 'chat']);
    expect(await client('chat', port, 'hello\n')).toMatchObject({ stdout: expect.stringMatching(/^\[.*\] hello\n$/) });
  });

  const unavailable = ACCEPT_STRATEGIES.filter(({ isAvailable }) => !isAvailable);
  it.each(unavailable)('prefork --accept $name fails with the reason', async ({ name, why }) => {
    const { stderr, code } = await startCli(['serve', 'prefork', '--accept', name]).ended;
    expect(stderr).toContain(why);
    expect(code).toBe(1);
  });

  it('--stats prints a line every second, also for a reactor', async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['reactor', '--stats']);
    await guest(bench, port);
    await program.printed(/^1 open, 1 accepted, 0 queued, \d+ wake-ups \(\d+ empty\)\n/m);
  });

  it('thread-pool --max-queued: one is served, one waits, the third is rejected', async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['thread-pool', '--workers', '1', '--max-queued', '1', '--stats']);
    await guest(bench, port);
    const waiting = connect({ port, host: '127.0.0.1' });
    bench.atEnd(() => waiting.destroy());
    waiting.on('error', () => undefined);
    await program.printed(/^2 open, 2 accepted, 1 queued/m);
    // A reset, or an end (Wine): no reply in either case.
    expect(await client('echo', port, 'is anybody there?')).toMatchObject({ stdout: '' });
    await program.printed(/^2 open, 3 accepted, 1 queued/m);
  });

  it.skipIf(noSignals).each(['reactor', 'thread-pool', 'prefork'])(
    `%s --faults still serves, and prints the counts of each rule${noSignals}`,
    async (name) => {
      using bench = new Bench();
      const plan = 'recv:EINTR@every2, send:short=999, accept:ECONNABORTED@1';
      const { program, port } = await serve(bench, [name, '--faults', plan]);
      const large = 'x'.repeat(100_000);
      expect((await client('echo', port, large)).stdout === large).toBe(true);
      program.process.kill('SIGINT');
      const { stdout, code } = await program.ended;
      expect(code).toBe(0);
      const counts = Array.from(stdout.matchAll(/^fault (\S+): (\d+) calls, (\d+) injected$/gm), ([, ...row]) => row);
      expect(counts.map(([rule]) => rule)).toEqual(plan.split(', '));
      const isPlural = name === 'prefork';
      expect(stdout.includes('the processes of the server count for themselves')).toBe(isPlural);
      if (!isPlural) for (const [rule, calls, injected] of counts) expect([calls, injected], rule).not.toContain('0');
    },
  );

  it('--faults: an invalid plan', async () => {
    const { stdout, stderr, code } = await startCli(['serve', 'reactor', '--faults', 'recv:EINT@2', '--port', '0'])
      .ended;
    expect(stderr).toMatch(
      /'--faults <plan>' argument 'recv:EINT@2' is invalid.*no error 'EINT'; did you mean EINTR\?/,
    );
    expect([stdout, code]).toEqual(['', 1]);
  });

  const pairAccepts = process.platform === 'win32' ? ' — not here: the first accept is one of a socket pair' : '';
  it.skipIf(pairAccepts)(`--faults applies to the processes of the server, too${pairAccepts}`, async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['prefork', '--workers', '1', '--faults', 'accept:EMFILE@1']);
    expect(await client('echo', port, 'hello')).toMatchObject({ stdout: 'hello', code: 0 });
    await until('it is reported', () => program.stderr.includes('EMFILE'));
  });

  it.each(['thread-pool', 'prefork', 'multi-reactor'])('%s: a port that is taken', async (name) => {
    using bench = new Bench();
    const { port } = await serve(bench, [name, '--workers', '1']);
    const { stdout, stderr, code } = await startCli(['serve', name, '--workers', '1', '--port', String(port)]).ended;
    expect(stderr).toMatch(/^selectors-native: EADDRINUSE.*bind 127\.0\.0\.1:\d+\n$/);
    expect([stdout, code]).toEqual(['', 1]);
  });

  it.skipIf(noSignals)(`a process that dies is reported and replaced${noSignals}`, async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['prefork', '--workers', '1']);
    await guest(bench, port);
    const [child = 0] = childrenOf(program.process.pid ?? -1);
    process.kill(child, 'SIGKILL');
    while (!program.stderr.includes('\n')) await once(program.process.stderr as NodeJS.ReadableStream, 'data');
    expect(program.stderr).toBe(
      `selectors-native: process ${child} has exited: SIGKILL; 1 connection is lost, another takes its place\n`,
    );
    expect(await client('echo', port, 'again')).toMatchObject({ stdout: 'again', code: 0 });
    program.process.kill('SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/0 rejected, 1 lost\n$/) });
  });

  it.skipIf(noSignals)(`a Ctrl-C of the terminal, which also reaches its processes${noSignals}`, async () => {
    using bench = new Bench();
    const terminal = spawn(process.execPath, [cli, 'serve', 'process-pool', '--port', '0'], {
      detached: true, // a process group of its own, as a terminal's foreground job
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    bench.atEnd(() => terminal.kill('SIGKILL'));
    let printed = '';
    for (const stream of [terminal.stdout, terminal.stderr])
      stream.on('data', (bytes: Buffer) => (printed += bytes.toString('utf8')));
    while (!printed.includes('\n')) await once(terminal.stdout, 'data');
    await guest(bench, Number(/:(\d+)/.exec(printed)?.[1]));
    const children = childrenOf(terminal.pid ?? -1);
    process.kill(-(terminal.pid as number), 'SIGINT');
    expect(await once(terminal, 'close')).toEqual([0, null]);
    expect(printed).toMatch(/^listening .*\nclosed: 1 accepted, .*, 0 lost\n$/);
    expect(children.filter(isRunning)).toEqual([]);
  });

  it.skipIf(noSignals)(`a second Ctrl-C ends at once, and leaves no process behind${noSignals}`, async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['process-pool']);
    await guest(bench, port);
    const children = childrenOf(program.process.pid ?? -1);
    // A child that ignores SIGTERM for a while delays the first one.
    for (const child of children) process.kill(child, 'SIGSTOP');
    // npx forwards a Ctrl-C that the terminal has already sent: it does not count as a second one.
    for (const wait of [50, 400]) {
      program.process.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, wait));
      expect(program.process.exitCode).toBe(null);
    }
    expect(await program.interruptUntilEnded()).toEqual([null, 'SIGINT']);
    for (const child of children) process.kill(child, 'SIGCONT');
    while (children.some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe('client rpc', () => {
  it('prints one reply per line; reports an invalid line, and goes on; waits for all replies', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, ['reactor-thread-pool', '--app', 'rpc']);
    const lines = ['ping {"a": 1}', '', 'ping {a', 'sleep 200', 'fly', 'ping "ü b"  ', 'ping'];
    const { stdout, stderr, code } = await client('rpc', port, lines.join('\n'));
    expect(stdout.split('\n')).toEqual([
      '{"out":"pong","result":{"a":1}}',
      '{"out":"slept","result":200}',
      `{"out":"error","result":"there is no method 'fly'"}`,
      '{"out":"pong","result":"ü b"}',
      '{"out":"pong","result":null}',
      '',
    ]);
    expect(stderr).toMatch(/^selectors-native: not sent: 'ping \{a' is not METHOD \[JSON params\]: .*JSON.*\n$/);
    expect(code).toBe(0);
  });

  it('is interactive: a reply comes before the next line is typed', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, ['thread-pool', '--workers', '1', '--app', 'rpc']);
    const program = bench.own(startCli(['client', 'rpc', '--port', String(port)]));
    for (const word of ['one', 'two']) {
      program.process.stdin?.write(`ping "${word}"\n`);
      await program.printed(new RegExp(`"result":"${word}"`));
    }
    program.process.stdin?.end();
    expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
  });

  it('many requests in one pipe', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, ['reactor', '--app', 'rpc']);
    const input = Array.from({ length: 5000 }, (_, i) => `ping ${i}\n`).join('');
    const { stdout, code } = await client('rpc', port, input);
    expect(stdout).toBe(Array.from({ length: 5000 }, (_, i) => `{"out":"pong","result":${i}}\n`).join(''));
    expect(code).toBe(0);
  });

  it('a server of another application', async () => {
    using bench = new Bench();
    const server = bench.own(createServer((connection) => connection.resume().end('220 mail.example.org\r\n')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { stderr, code } = await client('rpc', (server.address() as { port: number }).port, 'ping\n');
    expect(stderr).toMatch(/the server serves something else than rpc/);
    expect(code).toBe(1);
  });
});
