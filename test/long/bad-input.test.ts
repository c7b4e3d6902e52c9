/** Repeats the cases of test/bad-input.test.ts. */
import { describe } from 'vitest';
import { itAttacksInAProcess } from '../support/bad-input-cases.js';

describe('each argument, each wrong value', itAttacksInAProcess);
