/** The trace against strace, with a tenth of the exchanges of test/long/trace-strace.test.ts: strace takes long for each stack. */
import { describeTraceAndStrace } from './support/trace-strace-cases.js';

describeTraceAndStrace(0.1);
