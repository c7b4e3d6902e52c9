/** A thousand conversations on every loop. */
import { describeTranscripts } from '../support/transcripts-cases.js';

describeTranscripts(1000);
