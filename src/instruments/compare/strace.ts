/** Counts the system calls of Node itself and of the textbook servers, which this package's trace does not record, with strace(1). */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LoadResult } from '../measuring/load.js';
import type { Calls } from './calls.js';

/**
 * Calls on descriptors: they are a server's work, and what the trace records of the other subjects. Calls of the engine for memory and
 * threads are left out. -ttt: start, on the wall clock; -T: duration.
 */
const FLAGS = ['-f', '-qq', '-ttt', '-T', '-s', '0', '-e', 'trace=%desc,%network', '-e', 'signal=none'];

/** The reason why strace cannot count here. null: it can. */
export async function whyNoStrace(signal?: AbortSignal): Promise<string | null> {
  if (process.platform !== 'linux')
    return 'strace, which counts the calls that this package does not make, exists on Linux only';
  return new Promise((resolve) => {
    execFile('strace', [...FLAGS, '-o', '/dev/null', 'true'], { signal, windowsHide: true }, (error, _, stderr) => {
      if (error === null) resolve(null);
      else if (error.code === 'ENOENT')
        resolve('strace, which counts the calls that this package does not make, is not installed');
      else resolve(`strace cannot trace here: ${stderr.trim().split('\n')[0] ?? ''}`);
    });
  });
}

/** The file that strace writes into, removed on disposal. */
export class StraceLog implements Disposable {
  readonly #folder = mkdtempSync(resolve(tmpdir(), 'selectors-native-strace-'));
  readonly #file = join(this.#folder, 'log');
  /** MeasuredServerOptions.wrapper. */
  readonly wrapper: readonly string[] = ['strace', ...FLAGS, '-o', this.#file];

  /** Counts the calls that returned within the work. strace must have exited. */
  during({ wallClock: { begun, ended } }: LoadResult): Calls {
    const counts = new Map<string, number>();
    for (const line of readFileSync(this.#file, 'utf8').split('\n')) {
      const call = parseLine(line);
      if (call === null || call.returned < begun || call.returned > ended) continue;
      counts.set(call.name, (counts.get(call.name) ?? 0) + 1);
    }
    return counts;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 *   123 1700000000.123456 read(17, ""..., 65536) = 64 <0.000012>
 *   123 1700000000.123456 epoll_pwait(13,  <unfinished ...>
 *   123 1700000000.123999 <... epoll_pwait resumed>[...], 1024, -1, NULL, 8) = 1 <0.000543>
 */
const LINE = /^\d+ +(\d+\.\d+) (?:<\.\.\. (?<resumed>\w+) resumed>|(?<name>\w+)\().*<(?<seconds>\d+\.\d+)>$/;

/** The call that returns in this line of strace's output, and when, in milliseconds since 1970. null: none does. */
export function parseLine(line: string): { readonly name: string; readonly returned: number } | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, at] = match;
  const { name, resumed, seconds } = match.groups ?? {};
  if (resumed !== undefined) return { name: resumed, returned: 1000 * Number(at) };
  return { name: name ?? '', returned: 1000 * (Number(at) + Number(seconds)) };
}
