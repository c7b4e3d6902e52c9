/** The table of server models. The command line, the documents and the tests read it: a new row appears there by itself. */
import type { Model } from './model.js';
import type { ServerModelName } from '../protocol/settings.js';
import { busyWait } from './busy-wait.js';
import { iterative } from './iterative.js';
import { multiProactor } from './multi-proactor.js';
import { multiProcessReactor } from './multi-process-reactor.js';
import { multiReactorThreadPool } from './multi-reactor-thread-pool.js';
import { multiReactor } from './multi-reactor.js';
import { prefork } from './prefork.js';
import { proactor } from './proactor.js';
import { processPerConnection } from './process-per-connection.js';
import { processPool } from './process-pool.js';
import { reactorThreadPerTask } from './reactor-thread-per-task.js';
import { reactorThreadPool } from './reactor-thread-pool.js';
import { reactor } from './reactor.js';
import { threadPerConnection } from './thread-per-connection.js';
import { threadPool } from './thread-pool.js';

/** In the order in which the posts introduce them. */
export const models: Readonly<Record<ServerModelName, Model>> = {
  iterative,
  'busy-wait': busyWait,
  'thread-per-connection': threadPerConnection,
  'thread-pool': threadPool,
  'process-per-connection': processPerConnection,
  'process-pool': processPool,
  prefork,
  reactor,
  'reactor-thread-per-task': reactorThreadPerTask,
  'reactor-thread-pool': reactorThreadPool,
  'multi-reactor': multiReactor,
  'multi-reactor-thread-pool': multiReactorThreadPool,
  'multi-process-reactor': multiProcessReactor,
  proactor,
  'multi-proactor': multiProactor,
};
