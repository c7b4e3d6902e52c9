/** The memory that a process and its descendants hold, read from /proc (proc_pid_smaps(5)): used by idle-memory. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf } from '../measuring/usage.js';

/** In bytes. */
export interface HeldMemory {
  /** Pages that a process has written and shares with no other (Private_Dirty). */
  readonly own: number;
  /** Resident pages (Rss): a page that processes share counts once per process. */
  readonly resident: number;
  /** Addresses that are mapped (VmSize), most of them without memory. */
  readonly reserved: number;
}

/** Does this system report it? */
export const reportsHeldMemory = process.platform === 'linux' && existsSync('/proc/self/smaps_rollup');

const NOTHING: HeldMemory = { own: 0, resident: 0, reserved: 0 };

function heldBy(pid: number): HeldMemory {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (text: string, name: string): number =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
    return childrenOf(pid)
      .map(heldBy)
      .reduce(
        (sum, one) => ({
          own: sum.own + one.own,
          resident: sum.resident + one.resident,
          reserved: sum.reserved + one.reserved,
        }),
        { own: field(rollup, 'Private_Dirty'), resident: field(rollup, 'Rss'), reserved: field(status, 'VmSize') },
      );
  } catch {
    return NOTHING; // it has exited
  }
}

/** Milliseconds between two readings. */
const INTERVAL = 30;
const MAX_READINGS = 20;
/** Share of the memory by which two readings may differ. */
const MAX_CHANGE = 0.001;

/** Waits until the memory no longer changes, up to half a second. @throws the signal's reason */
export async function settledMemory(pid: number, signal: AbortSignal): Promise<HeldMemory> {
  let last = heldBy(pid);
  for (let reading = 1; reading < MAX_READINGS; reading++) {
    await sleep(INTERVAL, undefined, { signal });
    const next = heldBy(pid);
    const change = Math.abs(next.own - last.own);
    last = next;
    if (change <= MAX_CHANGE * next.own) break;
  }
  return last;
}
