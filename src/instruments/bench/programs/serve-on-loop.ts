/** `selectors-native serve reactor|proactor --mechanism MECHANISM`, for an application of the benchmark's own. */
import { Reactor, createSelector } from '../../../index.js';
import type { Application } from '../../../servers/applications/application.js';
import { createProactorLoop } from '../../../servers/worker/proactor-loop.js';
import { serveOn, showAddress } from '../../../servers/worker/serve.js';

/** BLOCKS. The loop and the mechanism are the program's first two arguments. */
export function serveOnLoop(application: Application): void {
  const [model, mechanism] = process.argv.slice(2);
  const onError = (error: unknown): void => void process.stderr.write(`${String(error)}\n`);
  const loop =
    model === 'proactor'
      ? createProactorLoop(mechanism, onError)
      : new Reactor({ selector: createSelector(mechanism), onError });
  const { listener } = serveOn(loop, { host: '127.0.0.1', port: 0 }, application);
  process.stdout.write(`listening on ${showAddress(listener.address)}\n`, () => loop.run());
}
