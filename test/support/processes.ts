/** Who runs: threads of this process, and processes. Linux tells by /proc; elsewhere, processes alone are asked for. */
import { readFileSync, readdirSync } from 'node:fs';

const isLinux = process.platform === 'linux';

/** 0 where nobody can tell. */
export const threadCount = (): number => (isLinux ? readdirSync('/proc/self/task').length : 0);

/** Does the process run? One that has ended, and whose parent does not ask how, does not. */
export function isRunning(pid: number): boolean {
  if (isLinux) return stateOf(pid) !== 'Z' && stateOf(pid) !== '';
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** R, S, Z …, of proc(5); '' if there is none. */
const stateOf = (pid: number): string => statOf(pid)[0] ?? '';

/** The fields behind the name: state, parent, … */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return []; // it has gone
  }
}

/** Its child processes. Linux only. */
export function childrenOf(pid: number): number[] {
  const pids = isLinux ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : [];
  return pids.map(Number).filter((one) => statOf(one)[1] === String(pid));
}
