/** System calls of a server that this package's trace does not see: Node's own. strace(1) tells, where it is installed. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LoadResult } from '../measuring/load.js';
import type { Calls } from './calls.js';

/**
 * What is asked of descriptors: that is what a server's work consists of, and what the trace records of the others. Not what an engine asks
 * besides, of memory and of its threads. -ttt: when, by the wall clock; -T: how long.
 */
const FLAGS = ['-f', '-qq', '-ttt', '-T', '-s', '0', '-e', 'trace=%desc,%network', '-e', 'signal=none'];

/** Why nobody can count here; null: strace can. */
export async function whyNoStrace(signal?: AbortSignal): Promise<string | null> {
  if (process.platform !== 'linux') return 'what Node itself calls is seen by strace, which is of Linux';
  return new Promise((resolve) => {
    execFile('strace', [...FLAGS, '-o', '/dev/null', 'true'], { signal, windowsHide: true }, (error, _, stderr) => {
      if (error === null) resolve(null);
      else if (error.code === 'ENOENT') resolve('what Node itself calls is seen by strace, which is not installed');
      else resolve(`strace cannot trace here: ${stderr.trim().split('\n')[0] ?? ''}`);
    });
  });
}

/** A file that strace writes into. */
export class StraceLog implements Disposable {
  readonly #folder = mkdtempSync(resolve(tmpdir(), 'selectors-native-strace-'));
  readonly #file = join(this.#folder, 'log');
  /** For MeasuredServer. */
  readonly wrapper: readonly string[] = ['strace', ...FLAGS, '-o', this.#file];

  /** Of calls that returned within the work. strace must have ended. */
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

/** A call that has returned, and when, in milliseconds since 1970. null: the line is of none. */
export function parseLine(line: string): { readonly name: string; readonly returned: number } | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, at] = match;
  const { name, resumed, seconds } = match.groups ?? {};
  if (resumed !== undefined) return { name: resumed, returned: 1000 * Number(at) };
  return { name: name ?? '', returned: 1000 * (Number(at) + Number(seconds)) };
}
