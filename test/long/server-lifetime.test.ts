/** Servers begin, end and are killed, over the models that test/server-lifetime.test.ts leaves out; and more of all are killed. */
import { describeEnds, describeKills, describeTextbook } from '../support/server-lifetime-cases.js';
import { FEW, SERVER_MODELS } from '../support/servers.js';

const available = SERVER_MODELS.filter(({ isAvailable }) => isAvailable);
const others = available.filter(({ name }) => !FEW.includes(name));

describeEnds(others);
describeKills(available, 4);
describeTextbook(others);
