/** A million random operations on the loops against a model; `npm run torture -- --seed 7` for a seed of your choice. */
import { describeTortures } from '../support/torture-cases.js';

describeTortures(Number(process.env.TORTURE_OPERATIONS ?? 1_000_000));
