/** `client`: the other end of `serve`, with the standard input as one more file object of its selector. */
import { Argument, type Command } from 'commander';
import { type Conversation, chatConversation, client, echoConversation, rpcConversation } from '../demos/client.js';
import { type ApplicationName, applications } from '../servers/applications/index.js';
import { hostOption, portOption } from './options.js';
import { printError } from './output.js';

interface ClientOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly raw?: boolean;
}

const CONVERSATIONS: Readonly<Record<ApplicationName, (user: string, isRaw: boolean) => Conversation>> = {
  echo: (_, isRaw) => echoConversation({ isRaw }),
  rpc: () => rpcConversation(printError),
  chat: (user) => chatConversation(user, complain),
};

/** A message is lost: the client goes on, and fails in the end. */
function complain(why: string): void {
  printError(why);
  process.exitCode = 1;
}

const TEACH = `
echo  sends what you type, and prints what comes back
rpc   sends a request a line, METHOD [JSON params], and prints a reply a line:
        ping {"a": 1}      {"out":"pong","result":{"a":1}}
        sleep 500          {"out":"slept","result":500}, after so many milliseconds
chat  sends what you say to everybody in the room

At the end of the input it goes on until the server has answered all of it:
  printf 'ping 1\nsleep 500\n' | selectors-native client rpc --port 1234`;

export function addClient(program: Command): void {
  program
    .command('client')
    .description('send the lines you type, print what comes back; Ctrl-D ends it')
    .addHelpText('after', TEACH)
    .addArgument(new Argument('<app>', 'what the server serves').choices(Object.keys(applications)))
    .addOption(hostOption())
    .addOption(portOption())
    .option('--user <name>', 'your name in the chat', process.env.USER ?? process.env.USERNAME ?? 'guest')
    .option('--raw', 'echo: print the bytes as they come, also what a terminal would obey')
    .action((app: ApplicationName, { host, port, user, raw = false }: ClientOptions) =>
      client(host, port, CONVERSATIONS[app](user, raw)),
    );
}
