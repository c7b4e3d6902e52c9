/** The server's side of one workload, under callgrind: executes the commands of its standard input (commands.ts) until that ends. */
import { readSync, writeSync } from 'node:fs';
import { COMMANDS, type Start, type Started } from './commands.js';
import { type Served, workloads } from './workloads.js';

const DIGIT_0 = 48;
const line = Buffer.alloc(16);
const done = Buffer.from('0\n');

const { name, path, instrument } = JSON.parse(process.argv[2] ?? '') as Start;

function start(): Served | null {
  const workload = workloads.find((one) => one.name === name);
  if (workload === undefined) throw new Error(`unknown workload '${name}'`);
  try {
    return workload.serve(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_UNAVAILABLE') throw error;
    sendStarted({ lacks: (error as Error).message });
    return null;
  }
}

const sendStarted = (started: Started): void => void writeSync(1, `${JSON.stringify(started)}\n`);

function execute(served: Served, command: number): void {
  switch (command) {
    case COMMANDS.admit:
      return served.admit();
    case COMMANDS.exchange:
      return served.exchange();
    case COMMANDS.mark:
      // Node calls uv_os_getppid only for this property; there callgrind dumps its counts.
      Reflect.get(process, 'ppid');
      return;
    case COMMANDS.collect:
      return (globalThis as { gc?(): void }).gc?.();
    case COMMANDS.instrument:
      return process.dlopen({ exports: {} }, instrument);
  }
}

/** Executes the next command. @returns false: the input has ended */
function executeNext(served: Served): boolean {
  if (readSync(0, line) === 0) return false;
  execute(served, (line[0] as number) - DIGIT_0);
  writeSync(1, done);
  return true;
}

const served = start();
if (served !== null) {
  sendStarted({ lacks: '' });
  while (executeNext(served));
  process.exit(); // the kernel closes loops and sockets
}
