/** What strace has seen, with the stack of each call (strace -f -k): which calls are the addon's own. */
import { readFileSync } from 'node:fs';

export interface StraceCall {
  readonly thread: number;
  readonly name: string;
  readonly arguments: string;
  readonly result: number;
  readonly error: string | null;
  /** Innermost first: the C library's function, and who called it. */
  readonly frames: readonly string[];
}

/** `123 recvfrom(5, "", …) = 0`; a call that others came between is in two lines. One that did not return is none. */
export function readStraceLog(path: string): StraceCall[] {
  const calls: StraceCall[] = [];
  const unfinished = new Map<number, string>();
  let frames: string[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [, frame] = /^ > (.*)$/.exec(line) ?? [];
    if (frame !== undefined) {
      frames.push(frame);
      continue;
    }
    frames = [];
    const [, number = '', said = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const thread = Number(number);
    const [, begun] = /^(.*) <unfinished \.\.\.>$/.exec(said) ?? [];
    if (begun !== undefined) {
      unfinished.set(thread, begun);
      continue;
    }
    const whole = said.replace(/^<\.\.\. \w+ resumed>/, () => unfinished.get(thread) ?? '');
    const [, name, args = '', result, error] =
      /^(\w+)\((.*)\) += (0x[0-9a-f]+|-?\d+)(?: ([A-Z]\w+))?/.exec(whole) ?? [];
    if (name === undefined || result === undefined) continue;
    const isError = result === '-1';
    calls.push({
      thread,
      name,
      arguments: args,
      result: Number(result),
      error: isError ? (error ?? '') : null,
      frames,
    });
  }
  return calls;
}

const ADDON = 'selectors_native.node';
const C_LIBRARY = /^[^ ]*\/(libc\.so|libc-|libpthread|ld-)/;

/** Made by the addon, and not by the C library for it (malloc, a mutex, a new thread). */
export function isOwn({ frames }: StraceCall): boolean {
  const caller = frames.findIndex((frame) => !C_LIBRARY.test(frame));
  return caller >= 0 && caller <= 2 && (frames[caller] as string).includes(ADDON);
}

/** What a signal's handler does is not recorded (signal-safety(7)). */
export const isOfHandler = ({ frames }: StraceCall): boolean => frames.some((frame) => frame.includes('OnSignal'));
