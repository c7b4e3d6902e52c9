/** The server contract, over every model of this machine and the applications that it serves; the others are in test/long/servers.test.ts. */
import { describeServer } from './support/servers-cases.js';
import { SERVER_MODELS, isInShort } from './support/servers.js';

for (const model of SERVER_MODELS)
  for (const application of model.applications)
    if (isInShort(model.name, application)) describeServer(model, application);
