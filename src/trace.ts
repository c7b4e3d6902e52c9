/**
 * `selectors-native/trace`: record system calls, inject faults, compare server models.
 *
 * @module selectors-native/trace
 */
export type { SyscallRecord, SyscallSummary } from './trace/record.js';
export { type Trace, type TraceOptions, startTrace } from './trace/trace.js';
export { compare } from './instruments/compare/compare.js';
export type { ComparisonOptions, ComparisonRow } from './instruments/compare/row.js';
export { renderReport } from './instruments/compare/sections.js';
export { injectFaults } from './trace/faults.js';
export type { FaultCount, FaultOptions, FaultRule, Faults } from './trace/faults.js';
