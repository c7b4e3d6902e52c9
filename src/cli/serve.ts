/** `serve`: a server in the foreground, until Ctrl-C. */
import { writeSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type EventLoop, ProactorLoop, Reactor, createProactor, createSelector } from '../index.js';
import { type ApplicationName, applications } from '../servers/applications/index.js';
import { type Say, serveOn, showAddress } from '../servers/serve.js';
import { COMPLETION_MECHANISMS, EMULATED_MECHANISMS, READINESS_MECHANISMS } from '../syscalls/probe.js';
import { hostOption, mechanismOption, portOption } from './options.js';

interface Model {
  readonly summary: string;
  readonly mechanisms: readonly string[];
  loop(mechanism: string | undefined, onError: (error: unknown) => void): EventLoop;
}

const MODELS: Readonly<Record<string, Model>> = {
  reactor: {
    summary: '“tell me when it is ready, I do it myself”: one loop over a selector',
    mechanisms: READINESS_MECHANISMS,
    loop: (mechanism, onError) => new Reactor({ selector: createSelector(mechanism), onError }),
  },
  proactor: {
    summary: '“do it, and tell me when it is done”: one loop over completions',
    mechanisms: [...COMPLETION_MECHANISMS, ...EMULATED_MECHANISMS],
    loop: (mechanism, onError) => new ProactorLoop({ proactor: createProactor(mechanism), onError }),
  },
};

/** Ctrl-C, and what asks a process to end. */
const ENDING = process.platform === 'win32' ? (['SIGINT', 'SIGBREAK'] as const) : (['SIGINT', 'SIGTERM'] as const);

interface ServeOptions {
  readonly app: ApplicationName;
  readonly mechanism?: string;
  readonly host: string;
  readonly port: number;
  readonly maxConnections?: number;
  readonly insideNode?: true;
  readonly verbose?: true;
}

/** Prints at once, also while Node's loop stands still. */
function print(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') process.exit(); // `… | head -1`: nobody reads any further
    if (code !== 'EAGAIN') throw error; // a slow terminal: a line is lost, the server goes on
  }
}

async function serve(name: string, model: Model, options: ServeOptions): Promise<void> {
  const { app, host, port, maxConnections, insideNode, verbose } = options;
  using loop = model.loop(options.mechanism, printError);
  const say: Say = (who, what, bytes) => print(`${who} ${what}${bytes === undefined ? '' : ` ${showBytes(bytes)}`}`);
  const server = serveOn(loop, { host, port, ...(maxConnections === undefined ? {} : { maxConnections }) }, app, {
    ...(verbose ? { say } : {}),
  });
  for (const signal of ENDING) loop.onSignal(signal, () => server.stop());
  const address = showAddress(server.listener.address);
  print(`listening on ${address} (${name}, ${app}, ${loop.mechanism}); Ctrl-C ends it`);
  if (insideNode) await loop.start();
  else loop.run();
}

function printError(error: unknown): void {
  writeSync(2, `selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
}

const LONGEST_SHOWN = 60;

/** Bytes as a JSON string, shortened. */
export function showBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, LONGEST_SHOWN)).toString('utf8');
  return `${JSON.stringify(text)}${bytes.length > LONGEST_SHOWN ? '…' : ''} (${bytes.length} bytes)`;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 0x7fff_ffff) throw new InvalidArgumentError('A number, 1 or more.');
  return count;
}

const TRY_IT = `
Models:
${Object.entries(MODELS)
  .map(
    ([name, { summary, mechanisms }]) =>
      `  ${name.padEnd(8)} ${summary}\n           --mechanism ${mechanisms.join('|')}`,
  )
  .join('\n')}

Applications:
${Object.entries(applications)
  .map(([name, { summary }]) => `  ${name.padEnd(5)} ${summary}`)
  .join('\n')}

Try it:  nc 127.0.0.1 1234
Ctrl-C stops accepting, sends what is buffered, and ends; a second one ends at once.`;

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run a server until Ctrl-C')
    .addHelpText('after', TRY_IT)
    .argument('<model>', `the server model: ${Object.keys(MODELS).join(', ')}`)
    .addOption(new Option('--app <name>', 'what it serves').choices(Object.keys(applications)).default('echo'))
    .addOption(mechanismOption())
    .addOption(hostOption())
    .addOption(portOption())
    .option('--max-connections <number>', 'further clients wait (default: no limit)', parseCount)
    .option('--inside-node', "live in Node's own loop (start) instead of blocking the thread (run)")
    .option('--verbose', 'print what goes over the wire')
    .action((name: string, options: ServeOptions, command: Command) => {
      const model = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
      if (model === undefined)
        return command.error(`error: there is no server model '${name}'; there is: ${Object.keys(MODELS).join(', ')}`);
      const { mechanism } = options;
      if (mechanism !== undefined && !model.mechanisms.includes(mechanism))
        return command.error(
          `error: a ${name} has no mechanism '${mechanism}'; it has: ${model.mechanisms.join(', ')}`,
        );
      return serve(name, model, options);
    });
}
