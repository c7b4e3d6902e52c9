/** Conversations on every loop. test/long/transcripts.test.ts has a thousand. */
import { describeTranscripts } from './support/transcripts-cases.js';

describeTranscripts(200);
