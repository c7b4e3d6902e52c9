/** Pins server and clients to a processor each, if there are two. */
import { readFileSync } from 'node:fs';

export interface Processors {
  readonly server: number;
  readonly clients: number;
}

/** Two of the processors that this process may use (sched_setaffinity(2)). null: only one; nothing is pinned. */
export function chooseProcessors(): Processors | null {
  const [server, ...others] = allowed();
  if (server === undefined) return null;
  // Prefers another core to the second hardware thread of the same core.
  const siblings = siblingsOf(server);
  const clients = others.find((one) => !siblings.includes(one)) ?? others[0];
  return clients === undefined ? null : { server, clients };
}

/** `Cpus_allowed_list` of proc(5). */
function allowed(): number[] {
  return numbersIn(/^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '');
}

function siblingsOf(processor: number): number[] {
  try {
    const path = `/sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`;
    return numbersIn(readFileSync(path, 'utf8').trim());
  } catch {
    return []; // this system does not report it
  }
}

/** Parses '0-3,8'. */
function numbersIn(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [first = NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** The command in front of a program: taskset(1) pins it to processors; setpriv(1) ends it with this process, however that ends. */
export function boundTo(...processors: readonly (number | undefined)[]): readonly string[] {
  const ended = ['setpriv', '--pdeathsig', 'KILL'];
  return processors.includes(undefined) ? ended : [...ended, 'taskset', '-c', processors.join(',')];
}
