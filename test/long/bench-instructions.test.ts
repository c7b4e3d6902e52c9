/** The check of instructions per message: the measurement, if valgrind is installed. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type * as Counting from '../../src/instruments/bench/instructions/count.js';
import { type Workload, workloads } from '../../src/instruments/bench/instructions/workloads.js';
import { Bench } from '../support/bench.js';
import { childrenOf, isRunning } from '../support/processes.js';
import { Program, root } from '../support/program.js';
import { inTime, until } from '../support/servers.js';

/** The reason why valgrind cannot run here; empty if it can. */
function reasonWithoutValgrind(): string {
  if (process.platform !== 'linux') return ' — not here: valgrind is asked for on Linux alone';
  if (process.env.SELECTORS_NATIVE_SANITIZED) return ' — not here: the sanitizers and valgrind both want the memory';
  if (spawnSync(process.execPath, ['--interrupt-budget=5000', '-e', '']).status !== 0)
    return ' — not here: this V8 has no --interrupt-budget';
  return spawnSync('valgrind', ['--version']).status === 0 ? '' : ' — not here: valgrind is not installed';
}
const noValgrind = reasonWithoutValgrind();

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it has exited
  }
}

describe('npm run bench:instructions, under valgrind', () => {
  it.skipIf(noValgrind)(`counts the same code twice with the same plausible result${noValgrind}`, async () => {
    const { count } = createRequire(import.meta.url)(
      join(root, 'dist/instruments/bench/instructions/count.js'),
    ) as typeof Counting;
    const workload = workloads.find(({ name }) => name === 'epoll-1') as Workload;
    const { signal } = new AbortController();
    const shares: number[] = [];
    const onProgress = (share: number) => void shares.push(share);
    const first = (await count(workload, { budget: 5000, signal, onProgress })) as number;
    const second = (await count(workload, { budget: 5000, signal })) as number;
    // select() is some hundred instructions of C++, and as many of JavaScript; an interpreter would take tens of thousands.
    expect(first).toBeGreaterThan(500);
    expect(first).toBeLessThan(10_000);
    expect(Math.abs(second / first - 1)).toBeLessThan(0.02);
    expect([Math.min(...shares), Math.max(...shares)]).toEqual([0, 1]);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
  });

  it.skipIf(noValgrind)(`Ctrl-C ends it, and no process is left behind${noValgrind}`, async () => {
    using bench = new Bench();
    const program = bench.own(
      new Program(process.execPath, [join(root, 'dist/instruments/bench/instructions/main.js'), '--update']),
    );
    const pid = program.process.pid ?? -1;
    let started: number[] = [];
    await until('a process under valgrind', () => {
      started = childrenOf(pid).filter((child) => commandOf(child).includes('callgrind'));
      return started.length > 0;
    });
    program.process.kill('SIGINT');
    expect(await inTime('its end', program.ended)).toEqual({ stdout: '', stderr: '', code: 130, signal: null });
    expect(started.filter(isRunning)).toEqual([]);
  });
});
