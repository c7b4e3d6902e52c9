/** The server contract, for the models and applications that test/servers.test.ts omits. */
import { describeServer } from '../support/servers-cases.js';
import { SERVER_MODELS, isInShort } from '../support/servers.js';

for (const model of SERVER_MODELS)
  for (const application of model.applications)
    if (!isInShort(model.name, application)) describeServer(model, application);
