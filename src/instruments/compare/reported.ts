/** Validates rows that come from outside, such as from a JSON file, before a report is made of them. */
import { invalidType } from '../../errors.js';
import { fieldsOf, listOf, wholeNumber } from '../../validate.js';
import type { ComparisonRow, Work } from './row.js';

/** The columns of a row that a report needs. */
export type ReportedRow = Omit<ComparisonRow, 'messages' | 'rounds' | 'quartiles' | 'counted'> &
  Partial<Pick<ComparisonRow, 'rounds' | 'quartiles' | 'counted'>>;

/** Reads null, which JSON has for NaN, as NaN. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
export function parseRows(rows: unknown): readonly ReportedRow[] {
  return listOf('rows', rows).map((row): ReportedRow => {
    const fields = fieldsOf('a row', row, [
      'subject',
      'messagesPerSecond',
      'syscallsPerMessage',
      'syscalls',
      'counted',
    ]);
    const { cpuMicrosecondsPerMessage, latency, rounds, quartiles } = fieldsOf('a row', row, [
      ...(['cpuMicrosecondsPerMessage', 'latency', 'rounds', 'quartiles'] as const),
    ]);
    const { p50, p99, max } = fieldsOf('latency', latency, ['p50', 'p99', 'max']);
    return {
      subject: text('subject', fields.subject),
      messagesPerSecond: figure('messagesPerSecond', fields.messagesPerSecond),
      syscallsPerMessage: figure('syscallsPerMessage', fields.syscallsPerMessage),
      syscalls: listOf('syscalls', fields.syscalls).map((call) => {
        const { name, perMessage } = fieldsOf('a system call', call, ['name', 'perMessage']);
        return { name: text('name', name), perMessage: figure('perMessage', perMessage) };
      }),
      cpuMicrosecondsPerMessage: figure('cpuMicrosecondsPerMessage', cpuMicrosecondsPerMessage),
      latency: { p50: figure('p50', p50), p99: figure('p99', p99), max: figure('max', max) },
      ...(rounds === undefined ? {} : { rounds: wholeNumber('rounds', rounds, 1, Number.MAX_SAFE_INTEGER) }),
      ...(quartiles === undefined ? {} : { quartiles: quartilesOf(quartiles) }),
      ...(fields.counted === undefined ? {} : { counted: text('counted', fields.counted) }),
    };
  });
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function parseWork(work: unknown): Work {
  const { connections, messages, size } = fieldsOf('work', work, ['connections', 'messages', 'size']);
  const count = (name: string, value: unknown): number => wholeNumber(name, value, 1, Number.MAX_SAFE_INTEGER);
  return {
    connections: count('connections', connections),
    messages: count('messages', messages),
    size: count('size', size),
  };
}

function text(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidType(name, 'a string', value);
  return value;
}

function quartilesOf(value: unknown): ComparisonRow['quartiles'] {
  const fields = fieldsOf('quartiles', value, ['messagesPerSecond', 'cpuMicrosecondsPerMessage']);
  const range = (name: keyof typeof fields): readonly [low: number, high: number] => {
    const [low, high] = listOf(name, fields[name]);
    return [figure(name, low), figure(name, high)];
  };
  return {
    messagesPerSecond: range('messagesPerSecond'),
    cpuMicrosecondsPerMessage: range('cpuMicrosecondsPerMessage'),
  };
}

function figure(name: string, value: unknown): number {
  if (value === null) return NaN;
  if (typeof value !== 'number') throw invalidType(name, 'a number', value);
  return value;
}
