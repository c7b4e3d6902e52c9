/** Programs under strace: what they ask of the kernel, and what it may answer. */
import { spawnSync } from 'node:child_process';
import { Program, programText } from './program.js';

/** Why nothing can be run under strace here; empty where it can. */
function reasonWithoutStrace(): string {
  if (process.platform !== 'linux') return ' — not here: strace is of Linux';
  if (process.env.SELECTORS_NATIVE_SANITIZED)
    return ' — not here: the sanitizers and strace both want to trace the process';
  return spawnSync('strace', ['-V']).status === 0 ? '' : ' — not here: strace is not installed';
}
export const noStrace = reasonWithoutStrace();

/** Runs a program with a system call of its main thread made to fail, and says how often it did. */
export async function withFault(call: string, fault: string, body: string, nodeOptions: readonly string[] = []) {
  const options = ['-qq', '-e', `trace=${call}`, '-e', `inject=${call}:${fault}`];
  const outcome = await new Program('strace', [...options, process.execPath, ...nodeOptions, '-e', programText(body)])
    .ended;
  return { ...outcome, injected: outcome.stderr.split('\n').filter((line) => line.includes('INJECTED')).length };
}

/** How many such calls Node's main thread makes before a program begins. */
export async function callsOfNode(call: string): Promise<number> {
  const program = "require('node:fs').writeSync(2, 'BEGIN')";
  const { stderr } = await new Program('strace', ['-qq', '-e', `trace=${call}`, process.execPath, '-e', program]).ended;
  return stderr.slice(0, stderr.indexOf('BEGIN')).split(`${call}(`).length - 1;
}
