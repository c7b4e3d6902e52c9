/** Invalid comparisons, and what remains after a comparison that was aborted or completed. */
import { describe, expect, it } from 'vitest';
import type { ComparisonOptions } from '../../src/trace.js';
import { Bench } from '../support/bench.js';
import { Surroundings, compare } from '../support/comparison.js';
import { rejectsCode } from '../support/expect.js';
import { isSlowHere } from '../support/servers.js';

describe('invalid comparisons', () => {
  const signal = {} as AbortSignal;
  it.each<[string, string, unknown]>([
    ['no such subject', 'ERR_INVALID_ARG_VALUE', { subjects: ['reactor:epol'] }],
    ['none at all', 'ERR_INVALID_ARG_VALUE', { subjects: [] }],
    ['a subject that is no string', 'ERR_INVALID_ARG_TYPE', { subjects: [1] }],
    ['subjects that are no list', 'ERR_INVALID_ARG_TYPE', { subjects: 'reactor' }],
    ['no connections', 'ERR_OUT_OF_RANGE', { connections: 0 }],
    ['too many', 'ERR_OUT_OF_RANGE', { connections: 10_001 }],
    ['no messages', 'ERR_OUT_OF_RANGE', { messages: 0 }],
    ['half a message', 'ERR_OUT_OF_RANGE', { messages: 1.5 }],
    ['an empty message', 'ERR_OUT_OF_RANGE', { size: 0 }],
    ['a message as text', 'ERR_INVALID_ARG_TYPE', { size: '64' }],
    ['no rounds', 'ERR_OUT_OF_RANGE', { rounds: 0 }],
    ['no workers', 'ERR_OUT_OF_RANGE', { workers: 0 }],
    ['a progress that is no function', 'ERR_INVALID_ARG_TYPE', { onProgress: 1 }],
    ['a signal that is none', 'ERR_INVALID_ARG_TYPE', { signal }],
    ['options that are none', 'ERR_INVALID_ARG_TYPE', null],
    ['clients that one after the other would wait for ever', 'ERR_INVALID_ARG_VALUE', { subjects: ['iterative'] }],
    ['fewer workers than clients', 'ERR_INVALID_ARG_VALUE', { subjects: ['thread-pool'], workers: 49 }],
    ['more workers than there may be', 'ERR_INVALID_ARG_VALUE', { subjects: ['process-pool'], connections: 1025 }],
    ['the last of them', 'ERR_INVALID_ARG_VALUE', { subjects: ['reactor', 'iterative'] }],
    ['more than an fd_set holds', 'ERR_INVALID_ARG_VALUE', { subjects: ['reactor:select'], connections: 9999 }],
  ])('%s: %s, and nothing is started', async (_, code, options) => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    surroundings.enter(bench);
    let calls = 0;
    const given = options === null ? options : { onProgress: () => calls++, ...(options as ComparisonOptions) };
    await rejectsCode(code, compare(given as ComparisonOptions));
    expect(calls).toBe(0);
    expect(surroundings.leftOver()).toEqual([]);
  });

  it('an unknown subject is an error that lists the known ones', async () => {
    await expect(compare({ subjects: ['nonsense'] })).rejects.toThrow(
      /unknown subject 'nonsense'; this system has: .*node:net/,
    );
  });
});

describe('leaves nothing behind', () => {
  const subjects = isSlowHere ? ['reactor'] : ['prefork:lock'];

  it('when it was aborted before: nothing is started', async () => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    surroundings.enter(bench);
    const reason = { not: 'an error' };
    await expect(compare({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(surroundings.leftOver()).toEqual([]);
  });

  // While the server starts, while the clients start, while they work, while calls are counted.
  const moments = [
    [0, 0],
    [0, 60],
    [0, 200],
    [0, 600],
    [1, 0],
    [1, 200],
    [1, 600],
  ] as const;
  it.each(isSlowHere ? moments.filter(([, delay]) => delay === 200) : moments)(
    'when it is aborted in run %i after %i ms',
    async (run, delay) => {
      using bench = new Bench();
      const surroundings = new Surroundings(bench);
      surroundings.enter(bench);
      const aborting = new AbortController();
      const reason = new Error('enough');
      const comparing = compare({
        subjects,
        connections: 2,
        messages: run === 0 ? 10_000_000 : 200,
        rounds: 1,
        signal: aborting.signal,
        onProgress(done) {
          if (done !== run) return;
          if (delay === 0) aborting.abort(reason);
          else setTimeout(() => aborting.abort(reason), delay);
        },
      });
      if (run === 0) await expect(comparing).rejects.toBe(reason);
      else await comparing.catch((error: unknown) => expect(error).toBe(reason)); // it may have ended before
      expect(surroundings.leftOver()).toEqual([]);
    },
  );

  it('when the caller’s callback throws', async () => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    surroundings.enter(bench);
    const thrown = new Error('of the caller');
    const onProgress = (done: number) => {
      if (done === 1) throw thrown;
    };
    await expect(compare({ subjects: ['reactor'], connections: 1, messages: 1, rounds: 1, onProgress })).rejects.toBe(
      thrown,
    );
    expect(surroundings.leftOver()).toEqual([]);
  });

  it('when all has gone well', async () => {
    using bench = new Bench();
    const surroundings = new Surroundings(bench);
    surroundings.enter(bench);
    await compare({ subjects: [...subjects, 'node:net'], connections: 2, messages: 20 });
    expect(surroundings.leftOver()).toEqual([]);
  });
});
