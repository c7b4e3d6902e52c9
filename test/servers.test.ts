/** The server contract, for every model of this machine and some applications; test/long/servers.test.ts has the others. */
import { describeServer } from './support/servers-cases.js';
import { SERVER_MODELS, isInShort } from './support/servers.js';

for (const model of SERVER_MODELS)
  for (const application of model.applications)
    if (isInShort(model.name, application)) describeServer(model, application);
