/** The command line as a user runs it. */
import { spawnSync } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Socket, availableMechanisms } from '../src/index.js';
import { frame } from '../src/servers/applications/framing.js';
import { Bench } from './support/bench.js';
import { startCli } from './support/program.js';
import { readinessMechanisms } from './support/mechanisms.js';
import { proactorRows } from './support/proactors.js';
import { isSlowHere } from './support/servers.js';

const mechanisms = readinessMechanisms.filter(({ available }) => available).map(({ mechanism }) => mechanism as string);
const noSignals = process.platform === 'win32' ? ' — not here: Windows has no signals to send' : '';

/** Sends these pieces. @returns the reply, until the server closes */
async function talk(port: number, pieces: readonly string[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  const closed = new Promise((resolve, reject) => socket.on('close', resolve).on('error', reject));
  socket.on('data', (bytes) => (text += bytes.toString('utf8')));
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  socket.end();
  await closed;
  return text;
}

async function serve(bench: Bench, args: readonly string[], model = 'reactor') {
  const program = bench.own(startCli(['serve', model, '--port', '0', ...args]));
  const [, port] = await program.printed(/listening on 127\.0\.0\.1:(\d+) .*\n/);
  return { program, port: Number(port) };
}

describe('demo', () => {
  it('lists the mechanisms of this machine, runs both servers with real clients, and ends with 0', async () => {
    const { stdout, stderr, code } = await startCli(['demo']).ended;
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const mechanism of mechanisms) expect(stdout).toMatch(new RegExp(`${mechanism} .*yes`));
    expect(stdout).toContain('✓ client 2 printed');
    expect(stdout).toContain('[ann] hello, bob');
    expect(stdout).not.toContain('\u001b[');
  });
});

describe('output whose reader has exited', () => {
  it.skipIf(noSignals)(`ends it without an error message${noSignals}`, () => {
    const { stderr, stdout } = spawnSync('sh', ['-c', `"${process.execPath}" dist/cli/main.js demo | head -1`], {
      encoding: 'utf8',
    });
    expect(stdout.split('\n')).toHaveLength(2);
    expect(stderr).toBe('');
  });
});

describe('info', () => {
  it('prints a table, and JSON for machines', async () => {
    const [text, json] = await Promise.all([startCli(['info']).ended, startCli(['info', '--json']).ended]);
    expect(text.stdout).toContain('probe');
    const [, tested = ''] = text.stdout.split('Tested:');
    for (const { mechanism } of availableMechanisms()) expect(tested).toContain(mechanism.replace('emulated:', ''));
    const parsed = JSON.parse(json.stdout) as { default: string; mechanisms: unknown[] };
    expect(parsed.default).toBe(mechanisms[0]);
    expect(parsed.mechanisms).toEqual(availableMechanisms());
  });
});

describe('serve proactor', () => {
  const proactors = proactorRows.flatMap(({ mechanism, create }) => (create === undefined ? [] : [mechanism]));

  it.each(proactors)('echo, rpc and chat over %s', async (mechanism) => {
    using bench = new Bench();
    const options = (app: string) => ['--mechanism', mechanism, '--app', app];
    const [echo, rpc, chat] = await Promise.all(
      ['echo', 'rpc', 'chat'].map((app) => serve(bench, options(app), 'proactor')),
    );
    const large = 'x'.repeat(3_000_000);
    expect(await talk(echo?.port ?? 0, [large.slice(0, 10), large.slice(10)])).toBe(large);
    const asked = frame(JSON.stringify({ in: 'ping', params: 1 })).toString();
    const answered = frame(JSON.stringify({ out: 'pong', result: 1 })).toString();
    expect(await talk(rpc?.port ?? 0, [asked.slice(0, 7), asked.slice(7)])).toBe(answered);
    expect(await talk(chat?.port ?? 0, ['{"user":"ann","text":"hello"}\n'])).toBe('[ann] hello\n');
  });
});

describe('serve reactor', () => {
  it.each(mechanisms)('echo over %s: split, joined and large messages come back whole', async (mechanism) => {
    using bench = new Bench();
    const { port } = await serve(bench, ['--mechanism', mechanism]);
    const large = 'x'.repeat(3_000_000);
    const answers = await Promise.all([talk(port, ['a', 'bc', 'd\ne']), talk(port, [large]), talk(port, [])]);
    expect(answers[0]).toBe('abcd\ne');
    expect(answers[1]?.length).toBe(large.length);
    expect(answers[1] === large).toBe(true);
    expect(answers[2]).toBe('');
  });

  it.each(mechanisms)(
    'chat over %s: every member gets each message, half a line waits for the rest, an invalid line gets an answer',
    async (mechanism) => {
      using bench = new Bench();
      const { port } = await serve(bench, ['--app', 'chat', '--mechanism', mechanism]);
      const listener = connect({ port, host: '127.0.0.1' });
      let received = '';
      listener.on('data', (bytes) => (received += bytes.toString('utf8')));
      await new Promise((resolve) => listener.on('connect', resolve));
      const said = await talk(port, [
        '{"user": "ann", ',
        '"text": "grüße"}\n{"user":"ann","text":"2"}\n',
        'nonsense\n{"user":1}\n',
      ]);
      expect(said).toMatch(/^\[ann\] grüße\n\[ann\] 2\na message is a line like .*\na message is a line like .*\n$/);
      while (!received.includes('2\n')) await new Promise((resolve) => listener.once('data', resolve));
      expect(received).toBe('[ann] grüße\n[ann] 2\n');
      listener.destroy();
    },
  );

  it.each(mechanisms)('rpc over %s: requests in pieces and in groups, answered in order', async (mechanism) => {
    using bench = new Bench();
    const { port } = await serve(bench, ['--app', 'rpc', '--mechanism', mechanism]);
    const requests = Array.from({ length: 200 }, (_, i) => frame(JSON.stringify({ in: 'ping', params: i }))).join('');
    const expected = Array.from({ length: 200 }, (_, i) => frame(JSON.stringify({ out: 'pong', result: i }))).join('');
    const half = requests.length / 2 + 1;
    expect(await talk(port, [requests.slice(0, 3), requests.slice(3, half), requests.slice(half)])).toBe(expected);
    const tooLong = await talk(port, [`${frame('nonsense').toString()}\u007f\u007f\u007f\u007f`]);
    expect(tooLong).toMatch(/"out":"error".*JSON/);
  });

  it.each([
    ['--verbose', '--app', 'chat'],
    ['--inside-node', '--app', 'chat', '--max-connections', '1'],
  ])('%s %s %s works as well', async (...options) => {
    using bench = new Bench();
    const { program, port } = await serve(bench, options);
    expect(await talk(port, ['{"user":"ann","text":"hello"}\n'])).toBe('[ann] hello\n');
    if (options[0] === '--verbose') {
      await program.printed(/127\.0\.0\.1:\d+ connected\n.* sent ".*" \(30 bytes\)\n.* gets "\[ann\] hello\\n"/);
      await program.printed(/127\.0\.0\.1:\d+ closed\n/);
    }
  });

  it.skipIf(noSignals)(`Ctrl-C ends it with 0${noSignals}`, async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['--app', 'chat']);
    const client = connect({ port, host: '127.0.0.1' });
    await new Promise((resolve) => client.on('connect', resolve));
    client.on('error', () => undefined); // a reset, if it was not accepted yet
    program.process.kill('SIGINT');
    expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    client.destroy();
  });

  it.skipIf(noSignals)(`chat: a member that resets costs no other member a message${noSignals}`, async () => {
    using bench = new Bench();
    const { program, port } = await serve(bench, ['--app', 'chat']);
    const address = { host: '127.0.0.1', port };
    const [ann, bob, eve] = [new Socket(), new Socket(), new Socket()].map((socket) => bench.own(socket)) as [
      Socket,
      Socket,
      Socket,
    ];
    for (const socket of [eve, ann, bob]) {
      socket.timeout = 10_000;
      socket.connect(address);
      socket.sendAll('{"user": "x", "text": "here"}\n');
      expect(socket.recv(100)?.toString()).toContain('[x] here');
    }
    // Both in one turn of the server: first the message, then eve's reset when the server sends to her.
    program.process.kill('SIGSTOP');
    ann.sendAll('{"user": "ann", "text": "to all"}\n');
    eve.setOption('SO_LINGER', 0).close();
    program.process.kill('SIGCONT');
    const hears = (socket: Socket, text: string) => {
      for (let received = ''; !received.includes(text);) {
        const part = socket.recv(100) as Buffer;
        expect(part.length, 'the server closed the connection').toBeGreaterThan(0);
        received += part.toString();
      }
    };
    for (const socket of [ann, bob]) hears(socket, 'to all');
    ann.sendAll('{"user": "ann", "text": "again"}\n');
    hears(bob, 'again');
  });

  it('a client that never reads does not block the others', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, []);
    const greedy = connect({ port, host: '127.0.0.1' });
    greedy.pause();
    greedy.on('error', () => undefined);
    greedy.write(Buffer.alloc(20_000_000));
    expect(await talk(port, ['still here'])).toBe('still here');
    greedy.destroy();
  });
});

/** Each test starts a program, which takes five seconds on a slow build. */
const notSanitized =
  process.env.SELECTORS_NATIVE_SANITIZED === undefined
    ? ''
    : ' — not under the sanitizers: it does not reach the addon';

/** Errors that the command line finds itself are the same on every system. */
const ofTheCommandLine = [
  [['serve', 'reactor', '--port', 'x'], /A port is a number/],
  [['serve', 'reactor', '--port', '70000'], /A port is a number/],
  [
    ['serve', 'reactor', '--mechanism', 'iocp'],
    /a reactor has no mechanism 'iocp'; it has: epoll, kqueue, afd, devpoll, poll, select/,
  ],
  [['serve', 'proactor', '--mechanism', 'epoll'], /a proactor has no mechanism 'epoll'; it has: iocp, io_uring, emul/],
  [['serve', 'reactor', '--mechanism', 'mine'], /Allowed choices are epoll, kqueue, afd, devpoll, poll, select/],
  [['serve', 'reactor', '--app', 'news'], /Allowed choices are echo, rpc, chat/],
  [['serve', 'nginx'], /there is no server model 'nginx'; there is: iterative, busy-wait, thread-per/],
  [['models', 'nginx'], /there is no server model 'nginx'; there is: iterative, busy-wait, thread-per/],
  [['serve', 'iterative', '--workers', '2'], /iterative has no --workers; it has: --app, --host, --port, --stats/],
  [['serve', 'thread-pool', '--mechanism', 'poll'], /thread-pool has no --mechanism; it has: .*--max-queued/],
  [['serve', 'thread-pool', '--app', 'chat'], /thread-pool serves no chat; it serves: echo, rpc/],
  [['serve', 'prefork', '--max-connections', '9'], /prefork has no --max-connections; it has: .*--workers/],
  [['serve', 'multi-reactor', '--accept', 'lock'], /no accept strategy 'lock' here; multi-reactor has: reuseport/],
  [['serve', 'thread-pool', '--accept', 'lock'], /thread-pool has no --accept; it has: .*--workers/],
  [['serve', 'multi-reactor', '--verbose'], /multi-reactor has no --verbose; it has: /],
  [['serve', 'prefork', '--inside-node'], /prefork has no --inside-node; it has: .*--accept/],
  [['serve', 'prefork', '--max-queued', '1'], /prefork has no --max-queued; it has: /],
  [
    ['serve', 'prefork', '--accept', 'first'],
    /Allowed choices are thundering-herd, blocking, lock, exclusive, reuseport/,
  ],
  [['serve', 'multi-reactor', '--mechanism', 'iocp'], /a multi-reactor has no mechanism 'iocp'; it has: epoll/],
  [['serve', 'multi-reactor', '--workers', '2000'], /workers must be a whole number from 1 to 1024, not 2000/],
  [['serve', 'thread-pool', '--workers', '0'], /A number, 1 or more/],
  [['serve', 'reactor', '--stats', '--verbose'], /--stats runs the server in threads of its own/],
  [['client', 'news'], /Allowed choices are echo, rpc, chat/],
  [['serve'], /missing required argument/],
  [['serv'], /Did you mean serve/],
  [['info', '--jason'], /Did you mean --json/],
] as const;
const ofTheSystem = [
  [['serve', 'prefork', '--accept', 'exclusive', '--mechanism', 'select'], /EPOLLEXCLUSIVE needs /],
  [
    ['serve', 'prefork', '--accept', 'blocking', '--mechanism', 'poll'],
    /'blocking' takes no mechanism|blocking is not available/,
  ],
  [['serve', 'thread-pool', '--host', '203.0.113.1', '--port', '0'], /EADDRNOTAVAIL/],
  [['serve', 'reactor', '--host', '203.0.113.1', '--port', '0'], /EADDRNOTAVAIL/],
  [['client', 'echo', '--port', '1'], /ECONNREFUSED/],
  [['client', 'rpc', '--port', '1'], /ECONNREFUSED/],
] as const;

describe(`wrong input${notSanitized}`, () => {
  it.skipIf(notSanitized).each(isSlowHere ? ofTheSystem : [...ofTheCommandLine, ...ofTheSystem])(
    '%j: one line with the reason, and exit code 1',
    async (args, message) => {
      const { stderr, stdout, code } = await startCli(args).ended;
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/^\s+at /m);
      expect(stdout).toBe('');
      expect(code).toBe(1);
    },
  );

  it('a port that is taken', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, []);
    const { stderr, code } = await startCli(['serve', 'reactor', '--port', String(port)]).ended;
    expect(stderr).toMatch(/EADDRINUSE.*bind 127\.0\.0\.1/);
    expect(code).toBe(1);
  });

  it('help', async () => {
    const { stdout, code } = await startCli(['serve', '--help']).ended;
    expect(stdout).toContain('nc 127.0.0.1 1234');
    expect(code).toBe(0);
  });
});

describe('client', () => {
  it('reads while it writes: more than all buffers hold comes back whole', async () => {
    using bench = new Bench();
    const { port } = await serve(bench, ['--app', 'chat']);
    const talking = bench.own(startCli(['client', 'chat', '--user', 'u', '--port', String(port)]));
    talking.process.stdin?.end('a\n'.repeat(200_000));
    const { stdout, code } = await talking.ended;
    expect(stdout.length).toBe('[u] a\n'.length * 200_000);
    expect(code).toBe(0);
  });

  it('ends with 0 when the server does, whatever its standard input does', async () => {
    using bench = new Bench();
    const server = createServer((connection) => connection.resume().end('bye\n'));
    bench.own(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    for (const typed of ['', 'x\n', null]) {
      const program = bench.own(startCli(['client', 'echo', '--port', String(port)]));
      if (typed !== null) program.process.stdin?.end(typed);
      program.process.stdin?.on('error', () => undefined); // EPIPE: it has exited already
      expect(await program.ended).toMatchObject({ stdout: 'bye\n', stderr: '', code: 0 });
    }
  });

  const input = process.platform === 'win32' ? ' — not here: no shell to redirect a file' : '';
  it.skipIf(input)(`accepts a regular file and /dev/null as its standard input${input}`, async () => {
    using bench = new Bench();
    const { port } = await serve(bench, []);
    const command = (from: string) =>
      `exec "${process.execPath}" dist/cli/main.js client echo --port ${port} < ${from}`;
    const run = (from: string) => spawnSync('sh', ['-c', command(from)], { encoding: 'utf8' });
    const { readFileSync } = await import('node:fs');
    expect(run('LICENSE').stdout).toBe(readFileSync('LICENSE', 'utf8'));
    expect(run('dist/cli/main.js').stdout).toBe(readFileSync('dist/cli/main.js', 'utf8'));
    expect(run('/dev/null')).toMatchObject({ stdout: '', status: 0 });
  });
});
