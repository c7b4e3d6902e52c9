/** The figures that compare() measures of a subject agree with one another. */
import { describe, expect, it } from 'vitest';
import type { ComparisonOptions, ComparisonRow } from '../../src/trace.js';
import { allSubjects, compare, subjectNamed } from './comparison.js';
import { SERVER_MODELS, isSlowHere } from './servers.js';

export const CONNECTIONS = 4;
export const MESSAGES = 400;
export const available = allSubjects().filter(({ isAvailable }) => isAvailable);

/** One subject of each kind. */
const KINDS = [
  ...available.filter(({ model }) => model === 'reactor').map(({ name }) => name),
  ...available
    .filter(({ model, mechanism }) => model === 'proactor' && !mechanism?.startsWith('emulated'))
    .map(({ name }) => name),
  ...available
    .filter(({ name }) => name.startsWith('proactor:emulated'))
    .map(({ name }) => name)
    .slice(0, 1),
  ...['busy-wait', 'thread-per-connection', 'thread-pool', 'process-per-connection', 'process-pool', 'prefork:lock'],
  ...['reactor-thread-per-task', 'reactor-thread-pool', 'multi-reactor', 'multi-reactor-thread-pool'],
  ...['multi-process-reactor', 'multi-proactor', 'node:net'],
  ...available.filter(({ http }) => http !== undefined).map(({ name }) => name),
  ...available
    .map(({ name }) => name)
    .filter((name) => ['textbook:fork-per-connection', 'textbook:process-pool'].includes(name)),
];

/** The subjects that differ most: a loop of each kind, threads, processes that accept, and a server that is not of this package. */
export const DIFFERENT_KINDS = KINDS.filter((name) => {
  const { model } = subjectNamed(name);
  if (model === 'reactor') return name === KINDS[0];
  if (model === 'proactor') return !name.startsWith('proactor:emulated');
  return !isSlowHere && ['thread-pool', 'prefork:lock', 'node:net'].includes(name);
});
export const OTHER_KINDS = KINDS.filter((name) => !DIFFERENT_KINDS.includes(name));

export async function only(subject: string, options: ComparisonOptions = {}): Promise<ComparisonRow> {
  const [row] = await compare({
    subjects: [subject],
    connections: CONNECTIONS,
    messages: MESSAGES,
    rounds: 1,
    ...options,
  });
  return row as ComparisonRow;
}

/** Calls of these names per message. */
export const callsOf = ({ syscalls }: ComparisonRow, ...names: readonly string[]): number =>
  syscalls.filter(({ name }) => names.includes(name)).reduce((sum, { perMessage: calls }) => sum + calls, 0);

export function describeFigures(subjects: readonly string[]): void {
  describe('compare()', () => {
    it.each(subjects)('%s: the figures are consistent', async (subject) => {
      const row = await only(subject);
      expect(row.subject).toBe(subject);
      expect(row.messages).toBe(subject === 'reactor-thread-per-task' ? CONNECTIONS : MESSAGES);
      const { p50, p99, max } = row.latency;
      expect(p50).toBeGreaterThan(0);
      expect(p99).toBeGreaterThanOrEqual(p50);
      expect(max).toBeGreaterThanOrEqual(p99);
      // Little's law: the number of requests in flight gives the mean round trip.
      const mean = (1e6 * CONNECTIONS) / row.messagesPerSecond;
      expect(mean).toBeLessThan(1.1 * max);
      const { model, textbook } = subjectNamed(subject);
      const hasProcesses =
        textbook !== undefined || SERVER_MODELS.some(({ name, workers }) => name === model && workers === 'processes');
      if (hasProcesses && process.platform !== 'linux') expect(row.cpuMicrosecondsPerMessage).toBe(NaN);
      else expect(row.cpuMicrosecondsPerMessage).toBeGreaterThanOrEqual(0);
      const sum = row.syscalls.reduce((total, { perMessage: calls }) => total + calls, 0);
      if (row.syscalls.length > 0) expect(row.syscallsPerMessage).toBeCloseTo(sum, 6);
      else expect(row).toMatchObject({ syscallsPerMessage: NaN, counted: expect.stringMatching(/^not counted: /) });
    });
  });
}
