/** Each argument, each wrong value (./bad-input.ts), while the garbage collector runs. */
import { expect, it } from 'vitest';
import { Bench } from './bench.js';
import { answerOf, runScript } from './program.js';

export function itAttacksInAProcess(): void {
  it('once more in a process of its own, with the garbage collector at work: it does not crash', async () => {
    using bench = new Bench();
    const outcome = runScript(
      bench,
      ['bad-input.ts', 'bad-values.ts', 'folders.ts'],
      `const { attacks, carryOut } = require('./bad-input.js');
       (async () => {
         const faults = [];
         let strikes = 0;
         for (const attack of attacks({ index: selectors, syscalls })) {
           const result = await carryOut({ index: selectors, syscalls }, attack);
           faults.push(...result.faults);
           strikes += result.strikes;
           gc();
         }
         console.log(JSON.stringify({ faults, strikes }));
       })();`,
      ['--expose-gc'],
    );
    const { faults, strikes } = (await answerOf(outcome)) as { faults: string[]; strikes: number };
    expect(faults).toEqual([]);
    expect(strikes).toBeGreaterThan(5000);
  });
}
