/** Before each test file the open descriptors are counted, and after it counted again: none may be left over. */
import { readdirSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';

/** What each descriptor of this process is: 'socket:[1234]', 'anon_inode:[eventfd]', a path. Linux only. */
export function openDescriptors(): Map<number, string> {
  const open = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      open.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The one by which the folder was read is closed again.
    }
  }
  return open;
}

const isLinux = process.platform === 'linux';

/** The same, and nothing where nobody can tell. For leftOver(). */
export const opened = (): Map<number, string> => (isLinux ? openDescriptors() : new Map<number, string>());

/** Opened now and then by the sanitizers' runtime, and by no code of ours. */
const DEV_NULL = '/dev/null';

/** What is open beyond what was, by kind, once what Node itself closes late has gone. */
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

/** Of our making: Node and the test runner open files and pipes of theirs at any time, but neither of these. */
const isOurs = (what: string) => /^(socket:|anon_inode:\[(eventfd|eventpoll)\])/.test(what);

const ours = () => [...openDescriptors()].filter(([, what]) => isOurs(what)).map(([fd, what]) => `${fd} ${what}`);

/** Lets Node's own sockets and loops, which close on a later turn, be gone; gives up after a while. */
async function settled(before: readonly string[]): Promise<string[]> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const left = ours().filter((line) => !before.includes(line));
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (isLinux) {
  let before: string[] = [];
  beforeAll(() => {
    before = ours();
  });
  afterAll(async () => {
    expect(await settled(before), 'descriptors left over').toEqual([]);
  });
}
