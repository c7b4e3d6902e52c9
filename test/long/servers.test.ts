/** The server contract, over the models and the applications that test/servers.test.ts leaves out. */
import { describeServer } from '../support/servers-cases.js';
import { SERVER_MODELS, isInShort } from '../support/servers.js';

for (const model of SERVER_MODELS)
  for (const application of model.applications)
    if (!isInShort(model.name, application)) describeServer(model, application);
