/** The timers of the loops in isolation, with chosen times, which may be equal. */
import { describe, expect, it } from 'vitest';
import { Timers } from '../src/wait/timers.js';

function named(timers: Timers, said: string[], due: number, name: string) {
  return timers.add(due, () => said.push(name));
}

const run = (timers: Timers, now: number): void => {
  for (const callback of timers.takeDue(now)) callback();
};

describe('timers', () => {
  it('R18 run in the order of their time; equal ones in the order of creation', () => {
    const timers = new Timers();
    const said: string[] = [];
    for (const [due, name] of [
      [5, 'c'],
      [1, 'a'],
      [5, 'd'],
      [9, 'f'],
      [5, 'e'],
      [1, 'b'],
    ] as const) {
      named(timers, said, due, name);
    }
    run(timers, 0.999);
    expect(said).toEqual([]);
    expect(timers.nextDue()).toBe(1);
    run(timers, 5);
    expect(said.join('')).toBe('abcde');
    run(timers, 9);
    expect(said.join('')).toBe('abcdef');
    expect(timers.nextDue()).toBe(Infinity);
  });

  it('a thousand in random order run in order', () => {
    const timers = new Timers();
    const seen: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const due = (i * 7919) % 331;
      timers.add(due, () => seen.push(due * 1000 + i));
    }
    for (let now = 0; now < 331; now += 10) run(timers, now);
    run(timers, 331);
    expect(seen).toHaveLength(1000);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('S120 cancelled ones are removed when they are more than 100, and more than half', () => {
    const timers = new Timers();
    const said: string[] = [];
    const all = Array.from({ length: 300 }, (_, i) => named(timers, said, 300 - i, String(i)));
    for (const timer of all.slice(0, 150)) timer.cancel();
    expect(timers.size).toBe(300);
    all[150]?.cancel();
    expect(timers.size).toBe(149);
    run(timers, 1000);
    expect(said).toEqual(Array.from({ length: 149 }, (_, i) => String(299 - i)));
  });

  it('ones that are cancelled after they were taken are not counted as stored', () => {
    const timers = new Timers();
    const said: string[] = [];
    const taken = Array.from({ length: 200 }, () => named(timers, said, 1, 'never'));
    const kept = Array.from({ length: 100 }, () => named(timers, said, 2, 'kept'));
    const due = timers.takeDue(1);
    for (const timer of taken) timer.cancel();
    kept[0]?.cancel();
    expect(timers.size).toBe(100); // one is cancelled; 100 timers cause no cleanup yet
    for (const callback of due) callback();
    run(timers, 2);
    expect(said).toHaveLength(99);
  });

  it('one that another of the same moment cancels does not run; none runs twice', () => {
    const timers = new Timers();
    const said: string[] = [];
    timers.add(1, () => second.cancel());
    const second = named(timers, said, 1, 'second');
    const due = timers.takeDue(1);
    for (const callback of [...due, ...due]) callback();
    expect(said).toEqual([]);
    expect(timers.size).toBe(0);
    second.cancel();
    expect(timers.nextDue()).toBe(Infinity);
  });
});
