/** Server and clients each have a processor of their own, as far as there are two. */
import { readFileSync } from 'node:fs';

export interface Processors {
  readonly server: number;
  readonly clients: number;
}

/** Of those that this process may use (sched_setaffinity(2)). null: there is only one, and nobody is bound to it. */
export function chooseProcessors(): Processors | null {
  const [server, ...others] = allowed();
  if (server === undefined) return null;
  // Not the other half of the same core, where there is a choice.
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
    return []; // this system does not tell
  }
}

/** Of '0-3,8'. */
function numbersIn(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [first = NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** What a program is run under: on a processor (taskset(1)), and ended with this process, however that ends (setpriv(1)). */
export function boundTo(processor: number | undefined): readonly string[] {
  const ended = ['setpriv', '--pdeathsig', 'KILL'];
  return processor === undefined ? ended : [...ended, 'taskset', '-c', String(processor)];
}
