/** Parses the log of strace -f -k, with the stack of each call, to find the addon's own calls. */
import { readFileSync } from 'node:fs';

export interface StraceCall {
  readonly thread: number;
  readonly name: string;
  readonly arguments: string;
  readonly result: number;
  readonly error: string | null;
  /** Innermost first: the C library's function, then its callers. */
  readonly frames: readonly string[];
}

/** `123 recvfrom(5, "", …) = 0`; an interrupted record is in two lines. A call that did not return is ignored. */
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
    const [, number = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const thread = Number(number);
    const [, begun] = /^(.*) <unfinished \.\.\.>$/.exec(text) ?? [];
    if (begun !== undefined) {
      unfinished.set(thread, begun);
      continue;
    }
    const whole = text.replace(/^<\.\.\. \w+ resumed>/, () => unfinished.get(thread) ?? '');
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

/** Whether the addon made the call itself, and not the C library on its behalf (malloc, a mutex, a new thread). */
export function isOwn({ frames }: StraceCall): boolean {
  const caller = frames.findIndex((frame) => !C_LIBRARY.test(frame));
  return caller >= 0 && caller <= 2 && (frames[caller] as string).includes(ADDON);
}

/** Calls of signal handlers are not recorded (signal-safety(7)). */
export const isOfHandler = ({ frames }: StraceCall): boolean => frames.some((frame) => frame.includes('OnSignal'));
