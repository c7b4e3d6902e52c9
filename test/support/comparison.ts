/** Helpers to test comparisons: the built package, whose processes load further files, and what they leave behind. */
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as compareEntry from '../../src/trace.js';
import type * as calls from '../../src/instruments/compare/calls.js';
import type * as load from '../../src/instruments/measuring/load.js';
import type * as server from '../../src/instruments/measuring/measured-server.js';
import type * as subjects from '../../src/instruments/measuring/subjects.js';
import type * as textbook from '../../src/instruments/measuring/textbook.js';
import type { Bench } from './bench.js';

const built = createRequire(import.meta.url);
export const { compare, renderReport } = built('../../dist/trace.js') as typeof compareEntry;
export const { CallCounter, perMessage } = built('../../dist/instruments/compare/calls.js') as typeof calls;
export const { Load } = built('../../dist/instruments/measuring/load.js') as typeof load;
export const { MeasuredServer } = built('../../dist/instruments/measuring/measured-server.js') as typeof server;
export const { allSubjects, subjectNamed } = built('../../dist/instruments/measuring/subjects.js') as typeof subjects;
export const { textbookModels, textbookProgram } = built(
  '../../dist/instruments/measuring/textbook.js',
) as typeof textbook;

/** A folder for temporary files. It identifies the processes that have it in their environment, and the files that they create. */
export class Surroundings {
  readonly #folder: string;
  readonly env: Readonly<Record<string, string>>;

  constructor(bench: Bench) {
    this.#folder = bench.folder();
    this.env = { TMPDIR: this.#folder, TEMP: this.#folder, TMP: this.#folder };
  }

  /** Sets it for the processes that this process starts. */
  enter(bench: Bench): void {
    const before = { ...process.env };
    Object.assign(process.env, this.env);
    bench.atEnd(() => {
      for (const name of Object.keys(this.env)) {
        if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = before[name];
      }
    });
  }

  /** The files left, and the processes (if the system has /proc). */
  leftOver(): string[] {
    // Windows deletes no mapped file, and only the garbage collector unmaps a trace's memory.
    const isKept = (name: string) => process.platform === 'win32' && name.startsWith('selectors-native-trace-');
    const files = readdirSync(this.#folder).filter((name) => !isKept(name));
    return [...files, ...this.processes().map((pid) => `process ${pid}`)];
  }

  processes(): string[] {
    if (process.platform !== 'linux') return [];
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && this.#isIn(name));
  }

  #isIn(pid: string): boolean {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(this.#folder);
    } catch {
      return false; // it has just exited
    }
  }
}
