/** `serve`: a server in the foreground, until Ctrl-C. */
import { type Command, Option } from 'commander';
import { chatServer } from '../demos/chat-server.js';
import { echoServer } from '../demos/echo-server.js';
import { type Handler, show } from '../demos/peer.js';
import { listen } from '../demos/server.js';
import { createSelector } from '../selectors/default.js';
import { hostOption, mechanismOption, portOption } from './options.js';

export const applications = { echo: echoServer, chat: chatServer };
const MODELS = ['reactor'] as const;

interface ServeOptions {
  readonly app: keyof typeof applications;
  readonly mechanism?: string;
  readonly host: string;
  readonly port: number;
  readonly verbose?: true;
}

async function serve(model: string, options: ServeOptions): Promise<void> {
  const selector = createSelector<Handler>(options.mechanism);
  const listener = listen(options.host, options.port);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => selector.close());
  const served = applications[options.app](listener, selector, (who, what, bytes) => {
    if (options.verbose) process.stdout.write(`${who} ${what}${bytes === undefined ? '' : ` ${showBytes(bytes)}`}\n`);
  });
  const address = show(listener.localAddress);
  process.stdout.write(`listening on ${address} (${model}, ${options.app}, ${selector.mechanism}); Ctrl-C ends it\n`);
  await served;
}

const LONGEST_SHOWN = 60;

/** Bytes as a JSON string, shortened. */
export function showBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, LONGEST_SHOWN)).toString('utf8');
  return `${JSON.stringify(text)}${bytes.length > LONGEST_SHOWN ? '…' : ''} (${bytes.length} bytes)`;
}

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run a server until Ctrl-C')
    .addHelpText('after', '\nTry it:  nc 127.0.0.1 1234\nChat takes a line of JSON:  {"user": "ann", "text": "hello"}')
    .argument('<model>', `the server model: ${MODELS.join(', ')}`)
    .addOption(new Option('--app <name>', 'what it serves').choices(Object.keys(applications)).default('echo'))
    .addOption(mechanismOption())
    .addOption(hostOption())
    .addOption(portOption())
    .option('--verbose', 'print what goes over the wire')
    .action((model: string, options: ServeOptions, command: Command) => {
      if (!MODELS.some((known) => known === model)) {
        command.error(`error: there is no server model '${model}'; there is: ${MODELS.join(', ')}`);
      }
      return serve(model, options);
    });
}
