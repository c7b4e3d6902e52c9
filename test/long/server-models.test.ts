/** Clients beyond maxConnections, for the models that test/server-models.test.ts omits. */
import { describeMaxConnections } from '../support/server-models-cases.js';
import { DIFFERENT, SERVER_MODELS } from '../support/servers.js';

describeMaxConnections(SERVER_MODELS.filter(({ name, isAvailable }) => isAvailable && !DIFFERENT.includes(name)));
