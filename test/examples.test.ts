/**
 * Runs the programs of examples/, which scripts/write-tables.mjs copies into README.md and docs/, as a reader runs them, with real clients.
 * Parses the commands that the documents show.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Socket as NetSocket, connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { findModel } from '../src/cli/models.js';
import type { ServeOptions } from '../src/cli/options.js';
import { newProgram } from '../src/cli/program.js';
import { wrongOption } from '../src/cli/serve.js';
import { Socket, availableMechanisms } from '../src/index.js';
import { Bench } from './support/bench.js';
import { experiment } from './support/built-experiments.js';
import { allSubjects, subjectNamed } from './support/comparison.js';
import { Program, root } from './support/program.js';

const read = (path: string): string => readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n');

/**
 * A free port of the loopback below the ephemeral range: a client that retries a port of that range eventually connects to itself (RFC 9293,
 * simultaneous open).
 */
function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(22_000 * Math.random());
    using socket = new Socket();
    try {
      socket.bind({ host: '127.0.0.1', port });
      return port;
    } catch (error) {
      // EACCES: Windows reserves some ranges of ports.
      if (!['EADDRINUSE', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}

/** A running program of examples/, and clients of the port in its environment. */
class Example {
  readonly program: Program;
  readonly #bench: Bench;
  readonly #port: number;

  constructor(bench: Bench, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#bench = bench;
    this.#port = freePort();
    this.program = bench.own(new Program(process.execPath, args, { PORT: String(this.#port), ...env }));
  }

  static of(bench: Bench, file: string, env: NodeJS.ProcessEnv = {}): Example {
    return new Example(bench, [join(root, 'examples', file)], env);
  }

  /** A TypeScript program; `npm run lint` checks its types. It runs in the root, where the package resolves its own name. */
  static transpiled(bench: Bench, file: string): Example {
    const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
    const { outputText } = ts.transpileModule(read(`examples/${file}`), { compilerOptions });
    return new Example(bench, ['--input-type=module', '--eval', outputText]);
  }

  /** A connected client; tries again until the program listens. */
  async open(): Promise<NetSocket> {
    for (;;) {
      const { exitCode, signalCode } = this.program.process;
      const end = exitCode ?? signalCode;
      if (end !== null) throw new Error(`it ended with ${end} before it listened: ${this.program.stderr}`);
      const client = connect(this.#port, '127.0.0.1');
      this.#bench.atEnd(() => client.destroy());
      const isOpen = await new Promise<boolean>((resolve) => {
        client.once('connect', () => resolve(true)).once('error', () => resolve(false));
      });
      if (isOpen) return client.on('error', () => undefined);
    }
  }

  /** Sends this from a new client. @returns what the client receives until the end of the stream */
  async received(sent: string): Promise<string> {
    const client = await this.open();
    let got = '';
    client.on('data', (chunk) => (got += chunk.toString())).end(sent);
    await new Promise((resolve) => client.once('close', resolve));
    return got;
  }

  /** The same, byte by byte: each byte is sent when the one before it has come back. */
  async receivedInPieces(text: string): Promise<string> {
    const client = (await this.open()).setNoDelay(true);
    let got = '';
    client.on('data', (chunk) => (got += chunk.toString()));
    const closed = new Promise((resolve) => client.once('close', resolve));
    for (const byte of text) {
      const isBack = new Promise((resolve) => client.once('data', resolve));
      client.write(byte);
      await Promise.race([isBack, closed]);
    }
    client.end();
    await closed;
    return got;
  }

  /** Waits for exit code 0 and an empty standard error. @returns the standard output */
  async output(): Promise<string> {
    const { stdout, stderr, code } = await this.program.ended;
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    return stdout;
  }
}

async function servesBesideHostileClients(server: Example): Promise<void> {
  const deaf = (await server.open()).pause();
  // More than both socket buffers hold: the server cannot send it all.
  for (let i = 0; i < 32; i++) deaf.write(Buffer.alloc(1 << 20));
  expect(await server.received('first')).toBe('first');
  for (let i = 0; i < 5; i++) {
    const resetting = await server.open();
    resetting.write(Buffer.alloc(1 << 20));
    await new Promise((resolve) => resetting.once('data', resolve));
    resetting.resetAndDestroy();
    expect(await server.received(`after reset ${i}`)).toBe(`after reset ${i}`);
  }
  expect(await server.receivedInPieces('one byte at a time')).toBe('one byte at a time');
  const long = 'x'.repeat(1 << 20);
  expect((await server.received(long)) === long).toBe(true);
  expect(deaf.writableLength).toBeGreaterThan(0);
  expect(server.program.process.exitCode).toBe(null);
}

const EVERYWHERE = '';
const LINUX = process.platform === 'linux' ? '' : ' — not here: epoll is of Linux';
/** Under Wine it takes a minute of processor time, for what test/compare.test.ts does there too. */
const NOT_WINDOWS = process.platform === 'win32' ? ' — not here: test/compare.test.ts compares the same subjects' : '';
const ECHO = 'serves others beside clients that reset, never read, or send byte by byte';
const echo = (file: string) => (bench: Bench) => servesBesideHostileClients(Example.of(bench, file));

/** What each does; why it is not run here ('' if it is); the run. */
const EXAMPLES: Record<string, readonly [does: string, why: string, run: (bench: Bench) => Promise<void>]> = {
  'echo.mjs': [ECHO, EVERYWHERE, echo('echo.mjs')],
  'reactor.ts': [ECHO, EVERYWHERE, (bench) => servesBesideHostileClients(Example.transpiled(bench, 'reactor.ts'))],
  'proactor.ts': [ECHO, EVERYWHERE, (bench) => servesBesideHostileClients(Example.transpiled(bench, 'proactor.ts'))],
  'event-loop.mjs': [ECHO, EVERYWHERE, echo('event-loop.mjs')],
  'textbook-server.mjs': [ECHO, EVERYWHERE, echo('textbook-server.mjs')],

  'completions.mjs': [
    'prints a client, a file and the timeout',
    EVERYWHERE,
    async (bench) => {
      const example = Example.of(bench, 'completions.mjs');
      await example.open();
      const lines = (await example.output()).split('\n').map((line) => line.split(/ [{<]/)[0]);
      expect(lines).toEqual(expect.arrayContaining(['a client Socket', 'a file', 'time undefined']));
    },
  ],

  'inside-node.mjs': [
    'receives what a timer of Node sends, and exits',
    EVERYWHERE,
    async (bench) => {
      expect(await Example.of(bench, 'inside-node.mjs').output()).toBe('received: hello\n');
    },
  ],

  'servers.mjs': [
    'prints the counts of the server, and exits',
    EVERYWHERE,
    async (bench) => {
      expect(await Example.of(bench, 'servers.mjs').output()).toMatch(/^\{\n {2}accepted: 0,\n[^]*emptyWakeups: 0,/);
    },
  ],

  'prefork.mjs': [
    'prints its address and the counts of its processes, and exits',
    EVERYWHERE,
    async (bench) => {
      const output = await Example.of(bench, 'prefork.mjs').output();
      expect(output).toMatch(/^\{ host: '127\.0\.0\.1', port: \d+ \} \{\n {2}accepted: 0,/);
    },
  ],

  'trace.mjs': [
    'prints the one wait as strace does, and the table',
    EVERYWHERE,
    async (bench) => {
      expect(await Example.of(bench, 'trace.mjs').output()).toMatch(
        // AFD starts a poll of the wake channel first.
        /^(?:DeviceIoControl\(.*\n)?(\w+)\(.*\) += 0( \(Timeout\))?\n\n[^]*'\1' *│ 1 /,
      );
    },
  ],

  'faults.mjs': [
    'prints a short send, a receive after EINTR, an error, the trace, and the counts',
    EVERYWHERE,
    async (bench) => {
      const output = await Example.of(bench, 'faults.mjs').output();
      expect(output).toMatch(/^2\nhe\nECONNRESET\n/);
      expect(output).toMatch(
        / = 2 \(INJECTED\)\n.* = -1 EINTR \(INJECTED\)\n.* = 2\n.* = -1 ECONNRESET \(INJECTED\)\n/,
      );
      expect(output).toMatch(/'recv:ECONNRESET@3' *│ 3 *│ 1 /);
    },
  ],

  'compare.mjs': [
    'writes a page about both subjects',
    NOT_WINDOWS,
    async (bench) => {
      const folder = bench.folder();
      const url = pathToFileURL(join(root, 'examples/compare.mjs')).href;
      // It writes to the working directory.
      const text = `process.chdir(${JSON.stringify(folder)}); await import(${JSON.stringify(url)})`;
      expect(await new Example(bench, ['--input-type=module', '--eval', text]).output()).toBe('');
      const page = readFileSync(join(folder, 'compare.html'), 'utf8');
      expect(page).toMatch(/<figcaption>Throughput<[^]*<div class="name"[^>]*>reactor<[^]*>node:<wbr \/>net</);
    },
  ],

  'epoll.mjs': [
    'reports the listening socket once a client has come',
    LINUX,
    async (bench) => {
      const example = Example.of(bench, 'epoll.mjs');
      await example.open();
      expect(await example.output()).toMatch(/^descriptor \d+: 0x1\n1 in the backlog\n$/);
    },
  ],

  'shared-file.mjs': [
    'continues the count of earlier processes, several at a time',
    EVERYWHERE,
    async (bench) => {
      const folder = bench.folder();
      const env = { TMPDIR: folder, TEMP: folder, TMP: folder };
      const started = Array.from({ length: 4 }, () => Example.of(bench, 'shared-file.mjs', env));
      const lines = await Promise.all(started.map((example) => example.output()));
      expect(lines.sort()).toEqual(Array.from({ length: 4 }, (_, i) => `I am number ${i + 1}\n`));
    },
  ],

  'typed.mts': [
    'compiles without a cast, greets one client, and exits',
    EVERYWHERE,
    async (bench) => {
      const folder = bench.folder();
      const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
      const options = [
        '--strict',
        '--skipLibCheck',
        '--target',
        'es2022',
        '--lib',
        'es2023,esnext.disposable',
        '--types',
        'node',
      ];
      const where = ['--module', 'nodenext', '--rootDir', '.', '--outDir', folder, 'examples/typed.mts'];
      const compiled = spawnSync(process.execPath, [tsc, ...options, ...where], { cwd: root, encoding: 'utf8' });
      expect({ stdout: compiled.stdout, status: compiled.status }).toEqual({ stdout: '', status: 0 });
      // In the root: the package's name does not resolve from the file's folder.
      const text = readFileSync(join(folder, 'examples/typed.mjs'), 'utf8');
      const example = new Example(bench, ['--input-type=module', '--eval', text]);
      expect(await example.received('')).toBe('hello\n');
      expect(await example.output()).toBe('');
    },
  ],
};

describe('examples', () => {
  it('have a test each', () => {
    expect(Object.keys(EXAMPLES).sort()).toEqual(readdirSync(join(root, 'examples')).sort());
  });

  for (const [file, [does, why, run]] of Object.entries(EXAMPLES)) {
    it.skipIf(why)(`examples/${file} ${does}${why}`, async () => {
      using bench = new Bench();
      await run(bench);
    });
  }

  const noCtrlC = process.platform === 'win32' ? ' — not here: no Ctrl-C can be sent to a process under Wine' : '';
  it.skipIf(noCtrlC)(`Ctrl-C ends examples/event-loop.mjs with exit code 0${noCtrlC}`, async () => {
    using bench = new Bench();
    const example = Example.of(bench, 'event-loop.mjs');
    expect(await example.received('served')).toBe('served'); // it runs, and handles the signal
    example.program.process.kill('SIGINT');
    expect(await example.output()).toBe('');
  });
});

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The arguments of `selectors-native …` in shell programs, and of its commands in the text. */
function commandsOf(document: string): string[][] {
  const text = read(document);
  const shell = text.matchAll(/(?:npx |\| )selectors-native ([^`\n|]+)/g);
  const inText = text.matchAll(/`((?:models|serve|client|trace|compare|experiment) [^`\n|]+)`/g);
  return [...shell, ...inText]
    .map(([, line = '']) => (line.split(' #')[0] as string).trim())
    .filter((line) => !line.includes('…'))
    .map((line) => Array.from(line.matchAll(/'([^']*)'|\S+/g), ([word, quoted]) => quoted ?? word));
}

/** The mechanisms that this system lacks. */
const mechanismsElsewhere: readonly string[] = availableMechanisms()
  .filter(({ available }) => !available)
  .map(({ mechanism }) => mechanism);

/** Throws if the command line would refuse these arguments. Runs nothing. */
function parse(args: readonly string[]): void {
  const program = newProgram();
  const actions: Record<string, (...given: never[]) => void> = {
    serve(name: string, options: ServeOptions, command: Command) {
      const row = findModel(name);
      expect(row === null ? `no model ${name}` : wrongOption(row, options, command)).toBe(null);
    },
    trace(command: readonly string[]) {
      if (program.commands.some((one) => one.name() === command[0])) parse(command);
    },
    models(name: string | undefined) {
      expect(name === undefined || findModel(name) !== null, name).toBe(true);
    },
    compare(names: readonly string[]) {
      for (const name of names) {
        const isLacking = allSubjects().some((row) => row.name === name && !row.isAvailable);
        const isElsewhere = name.split(':').some((part) => mechanismsElsewhere.includes(part));
        if (!isLacking && !isElsewhere) subjectNamed(name);
      }
    },
    experiment: (names: readonly string[]) => names.filter((name) => name !== 'all').forEach(experiment),
  };
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  for (const command of program.commands)
    command.action((actions[command.name()] ?? (() => undefined)) as Parameters<Command['action']>[0]);
  program.parse(args, { from: 'user' });
}

describe('the programs in the documents', () => {
  it.each(DOCUMENTS)('each program in %s comes from a file that a test runs', (document) => {
    const others = read(document).replace(/<!-- \S+: scripts\/write-tables\.mjs -->[^]*?<!-- end -->/g, '');
    expect(others.match(/^ *```(?!sh$|$).*/gm) ?? []).toEqual([]);
  });

  const commands = DOCUMENTS.flatMap((document) => commandsOf(document).map((args) => [args.join(' '), args] as const));
  it.each([...new Map(commands)])('selectors-native %s', (_, args) => parse(args));

  it('invalid ones are found', () => {
    expect(commands.length).toBeGreaterThan(30);
    for (const wrong of [
      'serve reactr',
      'serve reactor --prot 1',
      'serve prefork --app chat',
      'trace serve prefork --x',
    ])
      expect(() => parse(wrong.split(' ')), wrong).toThrow();
    expect(() => parse(['experiment', 'thundering-hurd'])).toThrow();
  });

  it('each `npm run` in the documents is a script of package.json', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = DOCUMENTS.flatMap((document) =>
      Array.from(read(document).matchAll(/\bnpm (?:run ([\w:-]+)|(test|start)\b)/g), ([, run, short]) => run ?? short),
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !Object.hasOwn(scripts, name as string))).toEqual([]);
  });
});
