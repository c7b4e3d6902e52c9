/** Threads of this process, and running processes. Linux reads /proc; other systems report processes only. */
import { readFileSync, readdirSync } from 'node:fs';

const isLinux = process.platform === 'linux';

/** The number of threads of this process; 0 if the system does not report it. */
export const threadCount = (): number => (isLinux ? readdirSync('/proc/self/task').length : 0);

/** Whether the process runs. A zombie does not. */
export function isRunning(pid: number): boolean {
  if (isLinux) return stateOf(pid) !== 'Z' && stateOf(pid) !== '';
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Its state: R, S, Z …, of proc(5); '' if there is no such process. */
const stateOf = (pid: number): string => statOf(pid)[0] ?? '';

/** The fields after the name: state, parent, … */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return []; // it has exited
  }
}

/** Its child processes. Linux only. */
export function childrenOf(pid: number): number[] {
  const pids = isLinux ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : [];
  return pids.map(Number).filter((one) => statOf(one)[1] === String(pid));
}
