/** Where something is measured: figures mean little without it. */
import { availableParallelism, cpus, release, totalmem, type, version } from 'node:os';

export interface Machine {
  /** 'AMD EPYC 7763, 2 cores, 16 GB' */
  readonly machine: string;
  /** 'Linux 6.1.0, #1 SMP Debian 6.1.99-1' */
  readonly kernel: string;
  /** '20.20.2' */
  readonly node: string;
}

export function thisMachine(): Machine {
  const model = (cpus()[0]?.model ?? process.arch).replace(/\s+/g, ' ').trim();
  const cores = availableParallelism();
  return {
    machine: `${model}, ${cores} core${cores === 1 ? '' : 's'}, ${Math.round(totalmem() / 2 ** 30)} GB`,
    kernel: `${type()} ${release()}, ${version()}`,
    node: process.versions.node,
  };
}
