/** The servers of the benchmark, one row each: this package's loops, two references in C, and other runtimes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { distPath } from '../../package-folder.js';
import { benchFolder, builtGo, builtC } from './build.js';
import { Missing, findProgram, outputOf } from './programs.js';

export type ServedApplication = 'echo' | 'chat' | 'rpc' | 'http';

/** A server of the benchmark. */
export interface BenchSubject {
  readonly name: string;
  readonly what: string;
  /** It belongs to this package. */
  readonly isOurs?: true;
  readonly serves: readonly ServedApplication[];
  /** The reference that shows the limit of what is possible, where it serves the workload. Default: c-epoll. */
  readonly limit?: string;
  /** The command of the server, which prints `listening on 127.0.0.1:PORT`. @throws Missing, with what to install */
  readonly command: (application: ServedApplication) => readonly string[];
  /** 'Bun 1.4.5' */
  readonly version?: () => string;
}

const peer = (name: string): string => join(benchFolder, 'peers', name);
const program = (name: string): string => distPath(`instruments/bench/programs/${name}`);
const cli = distPath('cli/main.js');
const NODE = process.execPath;

/** The command of this package's servers, to be followed by the model and its options. */
export const NODE_SERVE: readonly string[] = [NODE, cli, 'serve', '--port', '0'];
const serve = (...options: readonly string[]): readonly string[] => [...NODE_SERVE, ...options];

/** The path of a program. @param hint how to install it. @throws Missing */
function required(environment: string, names: readonly string[], hint: string): string {
  const given = process.env[environment];
  if (given !== undefined && given !== '') {
    if (!existsSync(given)) throw new Missing(`${environment}=${given}: no such file`);
    return given;
  }
  const found = names.map(findProgram).find((path) => path !== null);
  if (found === undefined) throw new Missing(`not installed (${hint}, or ${environment}=PATH)`);
  return found;
}

const bun = (): string => required('BUN', ['bun'], 'npm install -g bun');
const deno = (): string => required('DENO', ['deno'], 'npm install -g deno');

/** The first Python that has the module. */
function python(module?: string): string {
  const given = process.env.PYTHON;
  const candidates = given === undefined ? ['python3', '/usr/bin/python3'] : [given];
  const found = candidates.map(findProgram).filter((path) => path !== null);
  if (found.length === 0) throw new Missing('Python 3 is not installed (or PYTHON=PATH)');
  const has = (path: string): boolean => outputOf([path, '-c', `import ${module ?? 'selectors'}`]) !== null;
  const chosen = found.find(has);
  if (chosen === undefined)
    throw new Missing(`Python's module ${module} is not installed (Debian: python3-${module}; or PYTHON=PATH)`);
  return chosen;
}

/** The Python with uvloop, if there is one, so that all subjects in Python use the same. */
function anyPython(): string {
  try {
    return python('uvloop');
  } catch {
    return python();
  }
}

const pythonVersion = (): string => outputOf([anyPython(), '--version']) ?? '';
const nodeVersion = (): string => `Node.js ${process.versions.node}`;
const goVersion = (): string => outputOf(['go', 'version'])?.replace('go version ', '') ?? '';
const ALL: readonly ServedApplication[] = ['echo', 'chat', 'rpc'];

export const SUBJECTS: readonly BenchSubject[] = [
  {
    name: 'c-epoll',
    what: 'the limit: epoll(7) in C, recv and send; rpc without JSON',
    serves: ['echo', 'chat', 'rpc'],
    command: (application) => [builtC('epoll'), application],
  },
  {
    name: 'c-io_uring',
    what: 'the limit: io_uring(7) in C with liburing, multishot and provided buffers',
    serves: ['echo'],
    limit: 'c-io_uring',
    command: (application) => [builtC('io_uring'), application],
  },
  {
    name: 'reactor',
    what: 'this package: Reactor on epoll, Connection API, run()',
    isOurs: true,
    serves: ALL,
    command: (application) => serve('reactor', '--mechanism', 'epoll', '--app', application),
  },
  {
    name: 'reactor-inside-node',
    what: "the same within Node's own loop, start()",
    isOurs: true,
    serves: ALL,
    command: (application) => serve('reactor', '--mechanism', 'epoll', '--app', application, '--inside-node'),
  },
  {
    name: 'proactor',
    what: 'this package: ProactorLoop on io_uring, Connection API, run()',
    isOurs: true,
    serves: ALL,
    limit: 'c-io_uring',
    command: (application) => serve('proactor', '--mechanism', 'io_uring', '--app', application),
  },
  {
    name: 'reactor-no-json',
    what: 'Reactor on epoll, rpc as the limit has it: frames, without JSON and text',
    isOurs: true,
    serves: ['rpc'],
    command: () => [NODE, program('frames.js'), 'reactor', 'epoll'],
  },
  {
    name: 'proactor-no-json',
    what: 'the same on ProactorLoop, io_uring',
    isOurs: true,
    serves: ['rpc'],
    command: () => [NODE, program('frames.js'), 'proactor', 'io_uring'],
  },
  {
    name: 'reactor-http',
    what: 'Reactor on epoll, a minimal HTTP server of GET (src/instruments/measuring/http.ts)',
    isOurs: true,
    serves: ['http'],
    command: () => [NODE, program('http.js'), 'reactor', 'epoll'],
  },
  {
    name: 'proactor-http',
    what: 'the same on ProactorLoop, io_uring',
    isOurs: true,
    serves: ['http'],
    command: () => [NODE, program('http.js'), 'proactor', 'io_uring'],
  },
  {
    name: 'select-loop',
    what: "this package: select() in Python's shape on epoll, recv and send by the handler",
    isOurs: true,
    serves: ['echo'],
    command: () => [NODE, program('select-echo.js'), 'epoll'],
  },
  {
    name: 'libevent',
    what: 'libevent, raw events, in C',
    serves: ['echo'],
    command: (application) => [builtC('libevent'), application],
  },
  {
    name: 'node-net',
    what: "Node's net",
    serves: ALL,
    command: (application) => [NODE, program('node-net.js'), application],
    version: nodeVersion,
  },
  {
    name: 'node-http',
    what: "Node's http",
    serves: ['http'],
    command: () => [NODE, program('node-http.js')],
    version: nodeVersion,
  },
  {
    name: 'bun',
    what: 'Bun.listen',
    serves: ALL,
    command: (application) => [bun(), peer('bun.js'), application],
    version: () => `Bun ${outputOf([bun(), '--version']) ?? ''}`,
  },
  {
    name: 'bun-serve',
    what: 'Bun.serve',
    serves: ['http'],
    command: () => [bun(), peer('bun_http.js')],
    version: () => `Bun ${outputOf([bun(), '--version']) ?? ''}`,
  },
  {
    name: 'deno',
    what: 'Deno.listen',
    serves: ALL,
    command: (application) => [deno(), 'run', '--allow-net', peer('deno.mjs'), application],
    version: () => `Deno ${/deno (\S+)/.exec(outputOf([deno(), '--version']) ?? '')?.[1] ?? ''}`,
  },
  {
    name: 'python-selectors',
    what: "CPython's selectors, DefaultSelector",
    serves: ALL,
    command: (application) => [anyPython(), peer('python_selectors.py'), application],
    version: pythonVersion,
  },
  {
    name: 'asyncio',
    what: "CPython's asyncio, Protocol",
    serves: ALL,
    command: (application) => [anyPython(), peer('python_asyncio.py'), application],
    version: pythonVersion,
  },
  {
    name: 'uvloop',
    what: 'asyncio on uvloop, Protocol',
    serves: ALL,
    command: (application) => [python('uvloop'), peer('python_asyncio.py'), application, 'uvloop'],
    version: () => `uvloop ${outputOf([python('uvloop'), '-c', 'import uvloop; print(uvloop.__version__)']) ?? ''}`,
  },
  {
    name: 'go',
    what: 'Go, net, a goroutine per connection, GOMAXPROCS 1',
    serves: ALL,
    command: (application) => [builtGo('server'), application],
    version: goVersion,
  },
  {
    name: 'go-http',
    what: 'Go, net/http, GOMAXPROCS 1',
    serves: ['http'],
    command: () => [builtGo('server'), 'http'],
    version: goVersion,
  },
];
