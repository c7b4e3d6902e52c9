/** Counts the open descriptors before and after each test file: none may be left open. */
import { afterAll, beforeAll, expect } from 'vitest';
import { openDescriptors } from './descriptors.js';

/** Kinds that this package opens. Node and the test runner open files and pipes at any time, but none of these. */
const isOurs = (what: string) => /^(socket:|anon_inode:\[(eventfd|eventpoll)\])/.test(what);

const ours = () => [...openDescriptors()].filter(([, what]) => isOurs(what)).map(([fd, what]) => `${fd} ${what}`);

/** Waits until Node's own sockets and loops, which close on a later turn, are closed; gives up after a minute. */
async function settled(before: readonly string[]): Promise<string[]> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const left = ours().filter((line) => !before.includes(line));
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (process.platform === 'linux') {
  let before: string[] = [];
  beforeAll(() => {
    before = ours();
  });
  afterAll(async () => {
    expect(await settled(before), 'descriptors left over').toEqual([]);
  });
}
