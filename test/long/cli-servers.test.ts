/** The command line's server models and accept strategies that test/cli-servers.test.ts omits. */
import { describeServed, describeStrategies } from '../support/cli-servers-cases.js';
import { ACCEPT_STRATEGIES, FEW, SERVER_MODELS } from '../support/servers.js';

describeServed(SERVER_MODELS.filter(({ name, isAvailable }) => isAvailable && !FEW.includes(name)));
describeStrategies(ACCEPT_STRATEGIES.filter(({ name, isAvailable }) => isAvailable && name !== 'lock'));
