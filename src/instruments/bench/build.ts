/** The parts of the benchmark that are compiled on the way, into `.bench/`: bench/c/NAME.c, and the server in Go. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Missing, findProgram } from './programs.js';

const root = join(__dirname, '../../..');
/** Of the sources. */
export const benchFolder = join(root, 'bench');
const outFolder = join(root, '.bench');

interface CProgram {
  readonly libraries: readonly string[];
  /** Debian's package of what it needs besides a compiler. */
  readonly needs?: string;
}

const C_PROGRAMS = {
  load: { libraries: [] },
  'with-eventfds': { libraries: [] },
  turns: { libraries: ['-pthread'] },
  epoll: { libraries: [] },
  io_uring: { libraries: ['-luring'], needs: 'liburing-dev' },
  libevent: { libraries: ['-levent'], needs: 'libevent-dev' },
} satisfies Readonly<Record<string, CProgram>>;

/** A program that was not built before in this process is looked at once; what is missing does not come. */
const known = new Map<string, string | Missing>();

function once(name: string, build: () => string): string {
  let built = known.get(name);
  if (built === undefined) {
    try {
      built = build();
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      built = error;
    }
    known.set(name, built);
  }
  if (built instanceof Missing) throw built;
  return built;
}

/** @returns its path. @throws Missing */
export function builtC(name: keyof typeof C_PROGRAMS): string {
  return once(name, () => {
    const { libraries, needs }: CProgram = C_PROGRAMS[name];
    const compiler = findProgram(process.env.CC ?? 'cc');
    if (compiler === null) throw new Missing('there is no C compiler (Debian: gcc; or CC=PATH)');
    const flags = ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra'];
    const source = join(benchFolder, 'c', `${name}.c`);
    return built(name, 'c', needs, (out) => run(compiler, [...flags, '-o', out, source, ...libraries]));
  });
}

/** @returns its path. @throws Missing */
export function builtGo(name: string): string {
  return once(`go-${name}`, () => {
    const go = findProgram('go');
    if (go === null) throw new Missing('not installed (Debian: golang-go)');
    const source = join(benchFolder, 'peers', `${name}.go`);
    return built(`go-${name}`, 'peers', undefined, (out) => run(go, ['build', '-o', out, source]));
  });
}

/** Anew where a source of its folder is younger. Two that build at once do not see each other's halves. */
function built(name: string, folder: string, needs: string | undefined, build: (out: string) => void): string {
  const out = join(outFolder, name);
  const sources = readdirSync(join(benchFolder, folder)).map((file) => join(benchFolder, folder, file));
  const youngest = Math.max(...sources.map((file) => statSync(file).mtimeMs));
  if ((statSync(out, { throwIfNoEntry: false })?.mtimeMs ?? 0) > youngest) return out;
  mkdirSync(outFolder, { recursive: true });
  const temporary = `${out}.${process.pid}`;
  try {
    build(temporary);
  } catch (error) {
    const said = (error as { readonly stderr?: Buffer }).stderr?.toString() ?? String(error);
    if (needs === undefined) throw new Error(`${name} cannot be compiled:\n${said}`, { cause: error });
    throw new Missing(
      `it cannot be compiled (Debian: ${needs}): ${said.split('\n').find((line) => line.includes('error')) ?? said}`,
    );
  }
  renameSync(temporary, out);
  return out;
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
