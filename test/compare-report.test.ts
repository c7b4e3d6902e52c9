/** A comparison as a section of a report and as an HTML page. */
import { describe, expect, it } from 'vitest';
import { notesOf, sectionsOf } from '../src/instruments/compare/sections.js';
import type { ComparisonRow } from '../src/trace.js';
import { renderReport } from './support/comparison.js';
import { throwsCode } from './support/expect.js';

describe('as a report', () => {
  const latency = { p50: 100, p99: 200, max: 300 };
  const quartiles = { messagesPerSecond: [50_000, 61_000], cpuMicrosecondsPerMessage: [7, 9] } as const;
  const common = { messages: 1000, latency, rounds: 1, quartiles, counted: 'counted by the trace' };
  const rows: readonly ComparisonRow[] = [
    {
      ...common,
      subject: 'reactor:epoll',
      messagesPerSecond: 60_000,
      cpuMicrosecondsPerMessage: 8,
      syscallsPerMessage: 2.031,
      syscalls: [
        { name: 'recvfrom', perMessage: 1 },
        { name: 'sendto', perMessage: 1 },
        { name: 'epoll_wait', perMessage: 0.03 },
        { name: 'poll', perMessage: 0.001 },
      ],
    },
    {
      ...common,
      subject: 'node:net',
      messagesPerSecond: 50_000,
      cpuMicrosecondsPerMessage: NaN,
      syscallsPerMessage: NaN,
      syscalls: [],
      counted: 'not counted: no strace',
    },
  ];

  it('has tables whose rows are as wide as their columns, and no NaN', () => {
    const [section] = sectionsOf(rows);
    expect(section?.id).toMatch(/^[a-z0-9-]+$/);
    for (const { columns, rows: cells } of section?.tables ?? []) {
      expect(cells.map(({ length }) => length)).toEqual(rows.map(() => columns.length));
      expect(cells.flat()).not.toContain(NaN);
    }
    const [figures, calls] = section?.tables ?? [];
    expect(figures?.rows[1]).toEqual(['node:net', 50_000, null, null, 100, 200, 300]);
    expect(calls?.columns).toEqual(['subject', 'recvfrom', 'sendto', 'epoll_wait', 'others']);
    expect(calls?.rows[0]).toEqual(['reactor:epoll', 1, 1, 0.03, 0.001]);
  });

  it('has charts with one value per subject; the calls by name add up to the total', () => {
    const charts = sectionsOf(rows)[0]?.charts ?? [];
    expect(charts.map(({ title }) => title)).toEqual([
      'Throughput',
      'System calls per message, by name',
      "CPU time per message, of the server's processes",
      'Round-trip time',
    ]);
    for (const chart of charts) {
      if (chart.kind !== 'bar' && chart.kind !== 'range') throw new Error(chart.kind);
      expect(chart.categories).toEqual(['reactor:epoll', 'node:net']);
      for (const { values } of chart.series) expect(values).toHaveLength(2);
    }
    const [, calls] = charts;
    const values = calls?.kind === 'bar' ? calls.series.map((series) => series.values[0] ?? 0) : [];
    expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(2.031, 9);
  });

  it('leaves out a chart without values', () => {
    const charts = sectionsOf(rows.slice(1))[0]?.charts ?? [];
    expect(charts.map(({ title }) => title)).toEqual(['Throughput', 'Round-trip time']);
  });

  it('describes the work, and how the calls of each subject were counted', () => {
    const notes = notesOf(rows, { connections: 50, messages: 100_000, size: 64 });
    expect(notes).toContainEqual(['work', 'echo: 50 connections, 100,000 messages of 64 bytes']);
    expect(notes).toContainEqual(['system calls', 'node:net: not counted: no strace']);
  });

  it('ranks the subjects whose quartiles do not overlap', () => {
    const of = (subject: string, low: number, median: number, high: number): ComparisonRow => ({
      ...(rows[0] as ComparisonRow),
      ...{ subject, rounds: 5, messagesPerSecond: median, cpuMicrosecondsPerMessage: NaN },
      quartiles: { messagesPerSecond: [low, high], cpuMicrosecondsPerMessage: [NaN, NaN] },
    });
    const measured = [of('slow', 10, 20, 30), of('fast', 80, 90, 100), of('other', 25, 40, 50)];
    const notes = notesOf(measured);
    expect(notes).toContainEqual(['messages/s', 'fast > other ≈ slow']);
    expect(notes.map(([label]) => label)).not.toContain('CPU per message');
    expect(sectionsOf(measured)[0]?.tables[0]?.rows[0]?.[1]).toEqual({ low: 10, median: 20, high: 30 });
    expect(notesOf(rows).map(([label]) => label)).not.toContain('messages/s');
  });

  it('renderReport() is a page, also for rows that were read from JSON', () => {
    expect(renderReport(rows)).toMatch(/^<!doctype html>/i);
    expect(renderReport(rows)).toContain('reactor:epoll');
    const read = JSON.parse(JSON.stringify(rows)) as readonly ComparisonRow[];
    expect(read[1]?.syscallsPerMessage).toBe(null);
    expect(renderReport(read)).toBe(renderReport(rows));
  });

  it.each<[string, string, unknown]>([
    ['no list', 'ERR_INVALID_ARG_TYPE', 'rows'],
    ['no row', 'ERR_INVALID_ARG_TYPE', [null]],
    ['a row without latency', 'ERR_INVALID_ARG_TYPE', [{ ...rows[0], latency: undefined }]],
    ['a figure as text', 'ERR_INVALID_ARG_TYPE', [{ ...rows[0], messagesPerSecond: '60000' }]],
    ['quartiles of one figure', 'ERR_INVALID_ARG_TYPE', [{ ...rows[0], quartiles: { messagesPerSecond: [1, 2] } }]],
    ['calls without names', 'ERR_INVALID_ARG_TYPE', [{ ...rows[0], syscalls: [{ perMessage: 1 }] }]],
  ])('renderReport() of %s: %s', (_, code, given) => {
    throwsCode(code, () => renderReport(given as readonly ComparisonRow[]));
  });
});
