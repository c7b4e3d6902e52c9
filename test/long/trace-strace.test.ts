/** The trace against strace, over more than a thousand calls of each server. */
import { describeTraceAndStrace } from '../support/trace-strace-cases.js';

describeTraceAndStrace(3, 1);
