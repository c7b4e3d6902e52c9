/** `client`: the client of `serve`. Its selector watches the socket and the standard input. */
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

/** Reports a message that is not sent. The client goes on; its exit code is 1. */
function complain(why: string): void {
  printError(why);
  process.exitCode = 1;
}

const EXTRA_HELP = `
echo  sends what you type, and prints what comes back
rpc   sends one request per line, METHOD [JSON params], and prints one reply per line:
        ping {"a": 1}      {"out":"pong","result":{"a":1}}
        sleep 500          {"out":"slept","result":500}, after 500 milliseconds
chat  sends each line to all members of the room

After the end of the input, the client waits for the replies to all of it:
  printf 'ping 1\nsleep 500\n' | selectors-native client rpc --port 1234`;

export function addClient(program: Command): void {
  program
    .command('client')
    .description('send the lines you type, and print the replies; Ctrl-D ends the input')
    .addHelpText('after', EXTRA_HELP)
    .addArgument(new Argument('<app>', 'the application that the server serves').choices(Object.keys(applications)))
    .addOption(hostOption())
    .addOption(portOption())
    .option('--user <name>', 'chat: your name', process.env.USER ?? process.env.USERNAME ?? 'guest')
    .option('--raw', 'echo: print the bytes as they are, control characters included')
    .action((app: ApplicationName, { host, port, user, raw = false }: ClientOptions) =>
      client(host, port, CONVERSATIONS[app](user, raw)),
    );
}
