/** The queue of connections between threads, and critical sections, in which a thread is not terminated. */
import { describe, expect, it } from 'vitest';
import { Socket } from '../src/index.js';
import { ConnectionQueue } from '../src/servers/worker/connection-queue.js';
import { CriticalSection, createSectionMemory, terminateOutside } from '../src/servers/worker/critical-section.js';
import { Bench } from './support/bench.js';

describe('a queue of connections', () => {
  it('returns each connection once, in the order of arrival, however often its slots are reused', () => {
    using bench = new Bench();
    const queue = new ConnectionQueue(4, null);
    for (let round = 0; round < 5; round++) {
      const sockets = Array.from({ length: 3 }, () => new Socket());
      const fds = sockets.map(({ fd }) => fd);
      expect(sockets.map((socket) => queue.put(socket))).toEqual([true, true, true]);
      expect(queue.length).toBe(3);
      expect(sockets.map(({ fd }) => fd)).toEqual([-1, -1, -1]); // the queue owns them now
      const taken = fds.map(() => bench.own(queue.take() as Socket));
      expect(taken.map(({ fd }) => fd)).toEqual(fds);
      for (const socket of taken) socket.close();
    }
    expect(queue.tryTake()).toBe(null);
  });

  it('refuses a connection when it is full, and the caller still owns the connection', () => {
    using bench = new Bench();
    const queue = new ConnectionQueue(3, null); // rounded up: 4
    for (let i = 0; i < 4; i++) expect(queue.put(new Socket())).toBe(true);
    const fifth = bench.own(new Socket());
    const { fd } = fifth;
    expect(queue.put(fifth)).toBe(false);
    expect(fifth.fd).toBe(fd);
    const other = new ConnectionQueue(queue.memory, null); // as another thread opens it
    for (let i = 0; i < 4; i++) other.take()?.close();
    expect(queue.put(fifth)).toBe(true);
    other.take()?.close();
  });

  it('returns its contents after it is closed, and then null', () => {
    const queue = new ConnectionQueue(2, null);
    queue.put(new Socket());
    queue.close();
    const left = queue.take();
    expect(left?.fd).toBeGreaterThanOrEqual(0);
    left?.close();
    expect(queue.take()).toBe(null);
  });
});

describe('a critical section', () => {
  it('counts a connection in the section in which it is taken: an ended thread has done both, or neither', () => {
    const memory = createSectionMemory();
    const section = new CriticalSection(memory);
    section.leave();
    const wasInSection: unknown[] = [];
    const queue = new ConnectionQueue(2, section, () => wasInSection.push(memory[0] !== 0));
    queue.put(new Socket());
    queue.take()?.close();
    expect(queue.tryTake()).toBe(null);
    expect(wasInSection).toEqual([true]);
    expect(memory[0]).toBe(0);
  });

  it('is not interrupted: ending its thread waits until the section is left', async () => {
    const memory = createSectionMemory(); // a new thread starts in a critical section, until it has adopted its sockets
    let isEnded = false;
    const ended = new Promise<void>((resolve) =>
      terminateOutside(memory, () => {
        isEnded = true;
        resolve();
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(isEnded).toBe(false);
    new CriticalSection(memory).leave();
    await ended;
  });

  it('is left also when its action throws; outside of it a thread ends at once', () => {
    const memory = createSectionMemory();
    const section = new CriticalSection(memory);
    section.leave();
    expect(section.run(() => 'done')).toBe('done');
    expect(() =>
      section.run(() => {
        throw new Error('on purpose');
      }),
    ).toThrow('on purpose');
    let isEnded = false;
    terminateOutside(memory, () => (isEnded = true));
    expect(isEnded).toBe(true);
  });
});
