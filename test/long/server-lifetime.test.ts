/** Servers start, stop and are killed, for the models that test/server-lifetime.test.ts omits; and more kills of all models. */
import {
  describeEnds,
  describeKills,
  describeModelsOfOneProgram,
  describeTextbook,
} from '../support/server-lifetime-cases.js';
import { FEW, SERVER_MODELS } from '../support/servers.js';

const available = SERVER_MODELS.filter(({ isAvailable }) => isAvailable);
const others = available.filter(({ name }) => !FEW.includes(name));

describeEnds(others);
describeKills(available, 4);
describeModelsOfOneProgram(others);
describeTextbook(others);
