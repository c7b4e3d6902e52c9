/** Threads and processes that are recorded from outside, and end while they are. */
import { describe, expect, it } from 'vitest';
import { programText, startCli } from './support/program.js';

describe('trace', () => {
  it('threads that end are recorded, and end well: their memory is unmapped by a call that is recorded', async () => {
    const thread = JSON.stringify(programText('new selectors.DefaultSelector().close();'));
    const program = `const { Worker } = require('node:worker_threads');
      const start = (left) => left > 0 && new Worker(${thread}, { eval: true }).on('exit', () => start(left - 1));
      start(5);`;
    const outcome = await startCli(['trace', '--json', process.execPath, '-e', program]).ended;
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    const records = outcome.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly thread?: number });
    const threads = new Set(records.flatMap(({ thread: one }) => (one === undefined ? [] : [one])));
    expect(threads.size).toBe(5);
  });

  it('so does the main thread', async () => {
    const program = programText('new selectors.DefaultSelector().close();');
    const outcome = await startCli(['trace', process.execPath, '-e', program]).ended;
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('calls');
  });
});
