/** Compiles the C programs (bench/c/NAME.c) and the Go server of the benchmark into `.bench/`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from '../../package-folder.js';
import { Missing, findProgram } from './programs.js';

/** The folder of the sources. */
export const benchFolder = join(packageFolder, 'bench');
const outFolder = join(packageFolder, '.bench');

interface CProgram {
  /** The compiler's last arguments. */
  readonly libraries: readonly string[];
  /** Debian package that it needs besides a compiler. */
  readonly needs?: string;
}

const C_PROGRAMS = {
  load: { libraries: [] },
  'with-eventfds': { libraries: [] },
  turns: { libraries: ['-pthread'] },
  epoll: { libraries: [] },
  io_uring: { libraries: ['-luring'], needs: 'liburing-dev' },
  libevent: { libraries: ['-levent'], needs: 'libevent-dev' },
  instrument: { libraries: ['-shared', '-fPIC'], needs: 'valgrind' }, // an addon
} satisfies Readonly<Record<string, CProgram>>;

/** Each program is built at most once per process; a missing tool stays missing. */
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

/** Builds a C program if its sources are newer. @returns its path. @throws Missing */
export function builtC(name: keyof typeof C_PROGRAMS): string {
  return once(name, () => {
    const { libraries, needs }: CProgram = C_PROGRAMS[name];
    const compiler = findProgram(process.env.CC ?? 'cc');
    if (compiler === null) throw new Missing('no C compiler (Debian: gcc; or CC=PATH)');
    const flags = ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra'];
    const source = join(benchFolder, 'c', `${name}.c`);
    return built(name, 'c', needs, (out) => run(compiler, [...flags, '-o', out, source, ...libraries]));
  });
}

/** Builds a Go program if its sources are newer. @returns its path. @throws Missing */
export function builtGo(name: string): string {
  return once(`go-${name}`, () => {
    const go = findProgram('go');
    if (go === null) throw new Missing('not installed (Debian: golang-go)');
    const source = join(benchFolder, 'peers', `${name}.go`);
    return built(`go-${name}`, 'peers', undefined, (out) => run(go, ['build', '-o', out, source]));
  });
}

/** Builds if a source of the folder is newer. The result is renamed into place, so that concurrent builds see no partial file. */
function built(name: string, folder: string, needs: string | undefined, build: (out: string) => void): string {
  const out = join(outFolder, name);
  const sources = readdirSync(join(benchFolder, folder)).map((file) => join(benchFolder, folder, file));
  const newest = Math.max(...sources.map((file) => statSync(file).mtimeMs));
  if ((statSync(out, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return out;
  mkdirSync(outFolder, { recursive: true });
  const temporary = `${out}.${process.pid}`;
  try {
    build(temporary);
  } catch (error) {
    const output = (error as { readonly stderr?: Buffer }).stderr?.toString() ?? String(error);
    if (needs === undefined) throw new Error(`${name} cannot be compiled:\n${output}`, { cause: error });
    throw new Missing(
      `it cannot be compiled (Debian: ${needs}): ${output.split('\n').find((line) => line.includes('error')) ?? output}`,
    );
  }
  renameSync(temporary, out);
  return out;
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
