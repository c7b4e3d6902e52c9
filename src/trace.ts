/** `selectors-native/trace`: see the system calls. */
export { type SyscallRecord, type SyscallSummary, formatRecord } from './trace/record.js';
export { type Trace, type TraceOptions, startTrace } from './trace/trace.js';
