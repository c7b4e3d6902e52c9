/** Random operations on the loops, checked against a model: the seeds of test/long/torture.test.ts, a fortieth of its length. */
import { isSlowHere } from './support/servers.js';
import { describeTortures } from './support/torture-cases.js';

describeTortures(isSlowHere ? 10_000 : 25_000);
