/** CPU, memory and context switches of a process and its descendants, read from /proc (proc(5)). */
import { readFileSync, readdirSync } from 'node:fs';

/** Sums over a process and its descendants. */
export interface Usage {
  /** CPU time in microseconds, in steps of 10,000 (clock ticks). Includes children that have exited and were waited for. */
  readonly cpu: number;
  /** Resident memory (VmRSS) in bytes: shared pages count once per process. */
  readonly memory: number;
  /** Proportional memory (Pss) in bytes: shared pages are divided among the processes. 0 if the kernel does not report it. */
  readonly proportionalMemory: number;
  readonly threads: number;
  readonly processes: number;
  /** Context switches of the threads that still run. */
  readonly contextSwitches: number;
}

const TICK = 10_000;

const read = (path: string): string => readFileSync(path, 'utf8');

/** Usage of a process and its descendants. null: not Linux, or the process has exited. */
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

/** Process ids of the children of all its threads. @throws if it has exited */
export function childrenOf(pid: number): number[] {
  return tasksOf(pid).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`)
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  );
}

/** CPU time in microseconds of a process, and of its children that have exited and were waited for. */
function cpuOf(pid: number): { own: number; waitedFor: number } {
  // The name, in parentheses, may contain spaces and parentheses.
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { own: (utime + stime) * TICK, waitedFor: (cutime + cstime) * TICK };
}

/** CPU time of a process's descendants, without its own, as Usage.cpu. null: not Linux, or the process has exited. */
export function childCpuOf(pid: number): number | null {
  if (process.platform !== 'linux') return null;
  try {
    const living = childrenOf(pid).reduce((sum, child) => sum + cpuOf(child).own + (childCpuOf(child) ?? 0), 0);
    return cpuOf(pid).waitedFor + living;
  } catch {
    return null; // it has just exited
  }
}

function ownUsageOf(pid: number): Usage {
  const { own, waitedFor } = cpuOf(pid);
  return {
    cpu: own + waitedFor,
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
    return 0; // the thread has exited
  }
}

/** Voluntary context switches of the main threads of these processes, summed. null: as usageOf(). */
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

/** In bytes. 0 if the kernel does not report it. */
function memoryOf(name: string, path: string): number {
  try {
    return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(read(path))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
