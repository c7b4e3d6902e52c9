/** The trace against strace, over a few calls of one server: strace takes long for each stack. All are in test/long/trace-strace.test.ts. */
import { describeTraceAndStrace } from './support/trace-strace-cases.js';

describeTraceAndStrace(1, 0.1);
