/** The registrations of a selector: descriptors of any value, in the order of registration. */
import { describe, expect, it } from 'vitest';
import { type Registration, Registrations } from '../src/selectors/registrations.js';

function registration(fd: number, generation = 1): Registration<undefined> {
  return { key: { fileobj: fd, fd, events: 1, data: undefined }, generation, lastEvent: undefined };
}

// Including the highest Windows handles.
const NUMBERS = [70_000, 3, 0, 131_071, 131_072, 5, 0x7fff_ffff, 0xffff_ffff];

describe('registrations', () => {
  it('are found by small and large numbers, and not after they are deleted', () => {
    const all = new Registrations<undefined>();
    expect(all.get(0)).toBe(undefined);
    for (const fd of NUMBERS) all.set(fd, registration(fd));
    for (const fd of NUMBERS) expect(all.get(fd)?.key.fd).toBe(fd);
    for (const fd of [1, 4, 69_999, 131_070, 131_073, 0xffff_fffe, -1, -0x8000_0000, 1e9]) {
      expect(all.get(fd)).toBe(undefined);
      expect(all.has(fd)).toBe(false);
      expect(all.delete(fd)).toBe(false);
    }
    expect(all.size).toBe(NUMBERS.length);
    expect([...all.keys()]).toEqual(NUMBERS);
    expect([...all.values()].map(({ key }) => key.fd)).toEqual(NUMBERS);
    all.set(3, registration(3, 2));
    expect(all.get(3)?.generation).toBe(2);
    for (const fd of NUMBERS) {
      expect(all.delete(fd)).toBe(true);
      expect(all.get(fd)).toBe(undefined);
      expect(all.has(fd)).toBe(false);
    }
    expect(all.size).toBe(0);
  });

  it('are empty after clear(), and can be added again', () => {
    const all = new Registrations<undefined>();
    for (const fd of NUMBERS) all.set(fd, registration(fd));
    all.clear();
    for (const fd of NUMBERS) expect(all.get(fd)).toBe(undefined);
    all.set(5, registration(5));
    expect([...all]).toEqual([[5, registration(5)]]);
  });
});
