/** Runs programs under strace, to count their system calls and to inject faults. */
import { spawnSync } from 'node:child_process';
import { Program, programText } from './program.js';

/** Why strace cannot be used here; empty if it can. */
function reasonWithoutStrace(): string {
  if (process.platform !== 'linux') return ' — not here: strace is of Linux';
  if (process.env.SELECTORS_NATIVE_SANITIZED)
    return ' — not here: the sanitizers and strace both want to trace the process';
  return spawnSync('strace', ['-V']).status === 0 ? '' : ' — not here: strace is not installed';
}
export const noStrace = reasonWithoutStrace();

/**
 * Why faults of io_uring_enter cannot be tested in Node's loop; empty if they can. libuv updates the epoll set through a
 * ring of its own, and aborts if that fails (src/unix/linux.c, uv__epoll_ctl_flush). Node 20 does not use it.
 */
function reasonWithoutRingFaults(): string {
  if (noStrace !== '') return noStrace;
  const program =
    "const server = require('node:net').createServer().listen(0, () => setImmediate(() => server.close()))";
  const args = ['-qq', '-e', 'trace=io_uring_enter', process.execPath, '-e', program];
  return spawnSync('strace', args, { encoding: 'utf8' }).stderr.includes('io_uring_enter(')
    ? ' — not here: this Node.js calls io_uring_enter itself'
    : '';
}
export const noRingFaults = reasonWithoutRingFaults();

/** Runs a program with an injected fault in a system call of its main thread. @returns how many calls failed */
export async function withFault(call: string, fault: string, body: string, nodeOptions: readonly string[] = []) {
  const options = ['-qq', '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const outcome = await new Program('strace', [...options, process.execPath, ...nodeOptions, '-e', programText(body)])
    .ended;
  return { ...outcome, injected: outcome.stderr.split('\n').filter((line) => line.includes('INJECTED')).length };
}

/** The number of such calls that Node's main thread makes before a program starts. */
export async function callsOfNode(call: string): Promise<number> {
  const program = "require('node:fs').writeSync(2, 'BEGIN')";
  const { stderr } = await new Program('strace', ['-qq', '-e', `trace=${call}`, process.execPath, '-e', program]).ended;
  return stderr.slice(0, stderr.indexOf('BEGIN')).split(`${call}(`).length - 1;
}
