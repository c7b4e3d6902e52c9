/** The server class of the textbook (post 002). */
import { writeSync } from 'node:fs';
import { closedError, invalidType } from '../errors.js';
import type { Mechanism } from '../index.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import type { Model } from './models/model.js';
import { describeExit, errorOf } from './protocol/messages.js';
import type { ServerModelName, ServerSettings } from './protocol/settings.js';
import { parseServerOptions } from './server-options.js';
import { SupervisorThread } from './supervisor-thread.js';

/**
 * An echo server in two lines, for a program that does nothing else (post 002).
 *
 *   const server = new EchoServer('127.0.0.1', 1234);
 *   server.run();
 */
export class EchoServer {
  readonly #model: Model;
  readonly #settings: ServerSettings;

  /**
   * Starts nothing before run().
   * @param host IP address or name to listen on; required, since run() does not return a chosen one
   * @param port 0 to 65535; required likewise
   * @param options.model Default: 'reactor'
   * @param options.mechanism Default: the best that this system has
   * @throws as createServer()
   */
  constructor(
    host: string,
    port: number,
    options: { readonly model?: ServerModelName; readonly mechanism?: Mechanism } = {},
  ) {
    const { model = 'reactor', mechanism } = fieldsOf('options', options, ['model', 'mechanism']);
    if (typeof host !== 'string') throw invalidType('host', 'a string', host);
    const parsed = parseServerOptions(model, { host, port: wholeNumber('port', port, 0, 65_535), mechanism });
    this.#model = parsed.model;
    this.#settings = parsed.settings;
  }

  /**
   * BLOCKS and serves forever: until the process is killed, for example by Ctrl-C. Exits of workers are reported on the standard error.
   * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOTFOUND; ERR_CLOSED when the server's own thread has exited
   */
  run(): void {
    const thread = new SupervisorThread(this.#model, this.#settings);
    for (;;) {
      const event = thread.waitForEvent();
      if (event.type === 'failed') throw errorOf(event.error);
      if (event.type === 'exit') writeSync(2, `selectors-native: ${describeExit(event.exit)}\n`);
      if (event.type === 'closed') throw closedError('server');
    }
  }
}
