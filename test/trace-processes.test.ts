/** The trace of child processes: what a child records when the environment names a trace, and how it handles an invalid one. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { native } from '../src/native.js';
import { TRACE_VARIABLE } from '../src/recording.js';
import { ProcessesTrace } from '../src/trace/processes-trace.js';
import type { SyscallRecord } from '../src/trace.js';
import { Bench } from './support/bench.js';
import { type Outcome, Program } from './support/program.js';
import { until } from './support/servers.js';
import { NOBODY, marksOf, tracedText } from './support/traces.js';

const marks = (records: readonly SyscallRecord[]): number[] => marksOf(records).map((number) => number - NOBODY);

function start(bench: Bench, body: string, env: NodeJS.ProcessEnv): Program {
  return bench.own(new Program(process.execPath, ['-e', tracedText(body)], env));
}
const run = (bench: Bench, body: string, env: NodeJS.ProcessEnv): Promise<Outcome> => start(bench, body, env).ended;

describe('a process with the environment variable', () => {
  it('records from its first call, with its threads and child processes', async () => {
    using bench = new Bench();
    using trace = new ProcessesTrace(1024);
    const grandchild = tracedText(`mark(3)`);
    const { stdout, stderr, code } = await run(
      bench,
      `const { Worker } = require('node:worker_threads');
       const { spawnSync } = require('node:child_process');
       mark(1);
       const worker = new Worker(${JSON.stringify(tracedText('mark(2)'))}, { eval: true });
       worker.on('exit', () => {
         spawnSync(process.execPath, ['-e', ${JSON.stringify(grandchild)}], { stdio: 'inherit' });
         mark(4);
         console.log(process.pid);
       });`,
      trace.env,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const records = trace.take();
    expect(marks(records)).toEqual([1, 2, 3, 4]);
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, i) => i));
    const [one, two, three, four] = records.filter((record) => marks([record]).length > 0) as [
      SyscallRecord,
      SyscallRecord,
      SyscallRecord,
      SyscallRecord,
    ];
    const pid = Number(stdout);
    expect([one.process, two.process, four.process]).toEqual([pid, pid, pid]);
    expect(three.process).not.toBe(pid);
    expect(one.thread).toBe(four.thread);
    expect(new Set([one.thread, two.thread, three.thread]).size).toBe(3);
    // All times use one clock.
    expect([one, two, three, four].map((record) => record.start)).toEqual(
      [one, two, three, four].map((record) => record.start).sort((a, b) => a - b),
    );
    native.isOpen(NOBODY);
    expect(trace.take()).toEqual([]);
    expect(trace.dropped).toBe(0);
  });

  it('counts the records that do not fit', async () => {
    using bench = new Bench();
    using trace = new ProcessesTrace(4);
    expect((await run(bench, `for (let i = 0; i < 100; i++) mark(i);`, trace.env)).code).toBe(0);
    const kept = trace.take();
    expect(kept.length).toBe(4);
    expect(kept.length + trace.dropped).toBeGreaterThanOrEqual(100);
  });

  const inMainThread = isMainThread ? '' : ': not run in a worker thread, which cannot chdir()';
  it.skipIf(!isMainThread)(
    `removes its folder, whatever the working directory is by then, where TMPDIR is relative${inMainThread}`,
    () => {
      using bench = new Bench();
      const [folder, other, before] = [bench.folder(), bench.folder(), process.cwd()];
      vi.stubEnv('TMPDIR', '.');
      bench.atEnd(() => vi.unstubAllEnvs());
      bench.atEnd(() => process.chdir(before));
      process.chdir(folder);
      const trace = new ProcessesTrace(4);
      process.chdir(other);
      trace[Symbol.dispose]();
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it('goes on when the trace has ended; when it is killed the others go on', async () => {
    using bench = new Bench();
    const trace = new ProcessesTrace(256);
    const body = `let i = 0; setInterval(() => mark(i++), 1); console.log('begun');`;
    const [one, other] = [start(bench, body, trace.env), start(bench, body, trace.env)];
    await Promise.all([one.printed(/begun/), other.printed(/begun/)]);
    const seenOf = async (program: Program): Promise<void> => {
      await until('it records', () => trace.take().some((record) => record.process === program.process.pid));
    };
    await seenOf(one);
    await seenOf(other);
    one.process.kill('SIGKILL');
    await one.ended;
    trace.take();
    await seenOf(other);
    trace[Symbol.dispose]();
    other.process.stdin?.end();
    expect(other.process.exitCode).toBe(null);
  });
});

describe('a process with a wrong value', () => {
  const body = `mark(1); console.log('went on');`;

  async function warns(bench: Bench, path: string, why: RegExp): Promise<void> {
    const { stdout, stderr, code } = await run(bench, body, { [TRACE_VARIABLE]: path });
    expect({ stdout: stdout.trim(), code }).toEqual({ stdout: 'went on', code: 0 });
    expect(stderr).toContain(`${TRACE_VARIABLE}=${path}: `);
    expect(stderr).toMatch(why);
    expect(stderr).toContain('nothing is recorded');
  }

  it('warns of a missing path, and creates nothing', async () => {
    using bench = new Bench();
    const path = join(bench.folder(), 'nowhere');
    await warns(bench, path, /ENOENT/);
    expect(() => readFileSync(path)).toThrow('ENOENT');
  });

  it('warns of a folder', async () => {
    using bench = new Bench();
    const path = join(bench.folder(), 'folder');
    mkdirSync(path);
    await warns(bench, path, /not the memory of a trace/);
  });

  it.each([
    ['empty', Buffer.alloc(0)],
    ['short', Buffer.from('x')],
    ['of text', Buffer.from('not a trace\n'.repeat(1000))],
    ['all 0', Buffer.alloc(100_000)],
    // A valid trace of four slots, except for the magic number.
    ['almost one', Buffer.from(Uint32Array.of(0, 0, 0, 0, 4, 0, 0, 0).buffer)],
  ])('warns of a file that is %s, and leaves it alone', async (_, contents) => {
    using bench = new Bench();
    const path = join(bench.folder(), 'file');
    writeFileSync(path, contents);
    await warns(bench, path, /not the memory of a trace|native argument 1/);
    expect(readFileSync(path).equals(contents)).toBe(true);
  });

  it('records nothing if the variable is empty', async () => {
    using bench = new Bench();
    expect(await run(bench, body, { [TRACE_VARIABLE]: '' })).toMatchObject({ stderr: '', code: 0 });
  });
});
