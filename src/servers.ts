/**
 * The entry `selectors-native/servers`: the server models of the posts, each as a server that runs and as a row of data.
 * @module selectors-native/servers
 */
export { type ModelServer, type ServerStats, createServer } from './servers/model-server.js';
export { EchoServer } from './servers/echo-server.js';
export type { ServerOptions } from './servers/server-options.js';
export { SERVER_MODELS, type ServerModelRow } from './servers/catalogue.js';
export { type AcceptStrategyRow, acceptStrategies as ACCEPT_STRATEGIES } from './servers/models/accept-strategies.js';
export type { ModelOption } from './servers/models/model.js';
export type { AcceptStrategy, ServerModelName } from './servers/protocol/settings.js';
export type { ApplicationName } from './servers/applications/index.js';
export type { WorkerExit, WorkerInfo, WorkerStats } from './servers/protocol/messages.js';
