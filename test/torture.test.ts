/** Random operations on the loops against a model, with the seeds of test/long/torture.test.ts and a twentieth of its length. */
import { isSlowHere } from './support/servers.js';
import { describeTortures } from './support/torture-cases.js';

describeTortures(isSlowHere ? 10_000 : 50_000);
