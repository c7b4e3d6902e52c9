/** The lifetime of ten thousand operations over each proactor: test/proactors.test.ts runs one thousand with the same seeds. */
import { describe } from 'vitest';
import { itLives } from '../support/lifetime-cases.js';
import { proactorRows } from '../support/proactors.js';

describe.each(proactorRows.flatMap(({ mechanism, create }) => (create === undefined ? [] : [{ mechanism, create }])))(
  '$mechanism',
  ({ mechanism, create }) => {
    itLives(create, mechanism, 10_000);
  },
);
