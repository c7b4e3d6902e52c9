/** compare() over the kinds of servers that test/compare.test.ts omits. */
import { OTHER_KINDS, describeFigures } from '../support/compare-cases.js';

describeFigures(OTHER_KINDS);
