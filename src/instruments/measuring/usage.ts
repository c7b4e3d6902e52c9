/** What a process and its descendants use, as /proc tells it (proc(5)). */
import { readFileSync, readdirSync } from 'node:fs';

export interface Usage {
  /** Microseconds, in steps of 10,000: clock ticks. Of processes that have ended as well, once they were waited for. */
  readonly cpu: number;
  /** Resident memory, in bytes: what is shared is counted once a process. */
  readonly memory: number;
  /** Proportional memory, in bytes: what several processes share is divided among them. 0 where the kernel does not tell. */
  readonly proportionalMemory: number;
  readonly threads: number;
  readonly processes: number;
  /** Of threads that live. */
  readonly contextSwitches: number;
}

const TICK = 10_000;

const read = (path: string): string => readFileSync(path, 'utf8');

/** null: this system has no /proc, or the process has ended. */
export function usageOf(pid: number): Usage | null {
  if (process.platform !== 'linux') return null;
  try {
    const own = ownUsageOf(pid);
    return childrenOf(pid)
      .map(usageOf)
      .reduce<Usage>((sum, one) => (one === null ? sum : added(sum, one)), own);
  } catch {
    return null;
  }
}

function added(one: Usage, other: Usage): Usage {
  return {
    cpu: one.cpu + other.cpu,
    memory: one.memory + other.memory,
    proportionalMemory: one.proportionalMemory + other.proportionalMemory,
    threads: one.threads + other.threads,
    processes: one.processes + other.processes,
    contextSwitches: one.contextSwitches + other.contextSwitches,
  };
}

const tasksOf = (pid: number): readonly string[] => readdirSync(`/proc/${pid}/task`);

/** Of all its threads. @throws where it has ended */
export function childrenOf(pid: number): number[] {
  return tasksOf(pid).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`)
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  );
}

/** CPU time of a process, and of its children that have ended and were waited for, in microseconds. */
function cpuOf(pid: number): { own: number; ended: number } {
  // The name, in parentheses, may hold anything.
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { own: (utime + stime) * TICK, ended: (cutime + cstime) * TICK };
}

/** CPU time of a process' descendants, without its own, as Usage has it. null: this system does not tell, or the process has ended. */
export function childCpuOf(pid: number): number | null {
  if (process.platform !== 'linux') return null;
  try {
    const living = childrenOf(pid).reduce((sum, child) => sum + cpuOf(child).own + (childCpuOf(child) ?? 0), 0);
    return cpuOf(pid).ended + living;
  } catch {
    return null; // this moment
  }
}

function ownUsageOf(pid: number): Usage {
  const { own, ended } = cpuOf(pid);
  return {
    cpu: own + ended,
    memory: memoryOf('VmRSS', `/proc/${pid}/status`),
    proportionalMemory: memoryOf('Pss', `/proc/${pid}/smaps_rollup`),
    threads: tasksOf(pid).length,
    processes: 1,
    contextSwitches: tasksOf(pid).reduce((sum, task) => sum + switchesOf(`/proc/${pid}/task/${task}/status`), 0),
  };
}

function switchesOf(path: string): number {
  try {
    return Array.from(read(path).matchAll(/ctxt_switches:\s+(\d+)/g), ([, count]) => Number(count)).reduce(
      (sum, count) => sum + count,
      0,
    );
  } catch {
    return 0; // the thread has ended
  }
}

/** How often the first threads of these processes gave up the processor to wait, in all. null: as usageOf(). */
export function voluntarySwitchesOf(pids: readonly number[]): number | null {
  if (process.platform !== 'linux') return null;
  try {
    return pids
      .map((pid) => /^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(`/proc/${pid}/task/${pid}/status`))?.[1])
      .reduce((sum, count) => sum + Number(count), 0);
  } catch {
    return null;
  }
}

/** In bytes. 0 where the kernel does not tell. */
function memoryOf(name: string, path: string): number {
  try {
    return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(read(path))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
