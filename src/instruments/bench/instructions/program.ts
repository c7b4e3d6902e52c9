/** The server's side of one workload, under callgrind: does what it is told on its standard input (commands.ts), and ends with that. */
import { readSync, writeSync } from 'node:fs';
import { COMMANDS, type Start, type Started } from './commands.js';
import { type Served, workloads } from './workloads.js';

const DIGIT_0 = 48;
const line = Buffer.alloc(16);
const done = Buffer.from('0\n');

function start(): Served | null {
  const { name, path } = JSON.parse(process.argv[2] ?? '') as Start;
  const workload = workloads.find((one) => one.name === name);
  if (workload === undefined) throw new Error(`there is no workload '${name}'`);
  try {
    return workload.serve(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNAVAILABLE') throw error;
    tell({ lacks: (error as Error).message });
    return null;
  }
}

const tell = (started: Started): void => void writeSync(1, `${JSON.stringify(started)}\n`);

function obey(served: Served, command: number): void {
  switch (command) {
    case COMMANDS.admit:
      return served.admit();
    case COMMANDS.exchange:
      return served.exchange();
    case COMMANDS.mark:
      // Node asks uv_os_getppid for it, and for nothing else: that is where callgrind writes down what it has counted.
      Reflect.get(process, 'ppid');
      return;
    case COMMANDS.collect:
      return (globalThis as { gc?(): void }).gc?.();
  }
}

/** @returns false: nobody asks any more */
function next(served: Served): boolean {
  if (readSync(0, line) === 0) return false;
  obey(served, (line[0] as number) - DIGIT_0);
  writeSync(1, done);
  return true;
}

const served = start();
if (served !== null) {
  tell({ lacks: '' });
  while (next(served));
  process.exit(); // loops and sockets are left to the kernel
}
