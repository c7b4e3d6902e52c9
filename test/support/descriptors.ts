/** The open descriptors of this process. */
import { readdirSync, readlinkSync } from 'node:fs';

/** What each descriptor of this process refers to: 'socket:[1234]', 'anon_inode:[eventfd]', a path. Linux only. */
export function openDescriptors(): Map<number, string> {
  const open = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      open.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The descriptor that read the folder is closed again.
    }
  }
  return open;
}

const isLinux = process.platform === 'linux';

/** The same for leftOver(): empty on systems without /proc. */
export const opened = (): Map<number, string> => (isLinux ? openDescriptors() : new Map<number, string>());

/** The sanitizers' runtime opens it now and then; this package never does. */
const DEV_NULL = '/dev/null';

/** The descriptors opened since `before`, by kind. Waits, at most about two seconds, for those that Node closes late. */
export async function leftOver(before: ReadonlyMap<number, string>): Promise<string[]> {
  for (let i = 0; ; i++) {
    const kinds = (open: ReadonlyMap<number, string>) =>
      [...open.values()].map((what) => what.replace(/\d+/g, '')).filter((what) => what !== DEV_NULL);
    const counts = new Map<string, number>();
    for (const what of kinds(opened())) counts.set(what, (counts.get(what) ?? 0) + 1);
    for (const what of kinds(before)) counts.set(what, (counts.get(what) ?? 0) - 1);
    const more = [...counts].filter(([, count]) => count > 0).map(([what, count]) => `${count} × ${what}`);
    if (more.length === 0 || i > 100) return more;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
