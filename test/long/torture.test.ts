/** A million random operations on the loops, checked against a model; `npm run torture -- --seed 7` uses a given seed. */
import { describeTortures } from '../support/torture-cases.js';

describeTortures(Number(process.env.TORTURE_OPERATIONS ?? 1_000_000));
