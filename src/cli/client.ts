/** `client`: the other end of `serve`, with the standard input as one more file object of its selector. */
import { Argument, type Command } from 'commander';
import { chatLines, client, echoBytes } from '../demos/client.js';
import { hostOption, portOption } from './options.js';

export function addClient(program: Command): void {
  program
    .command('client')
    .description('send the lines you type, print what comes back; Ctrl-D ends it')
    .addArgument(new Argument('<app>', 'what the server serves').choices(['echo', 'chat']))
    .addOption(hostOption())
    .addOption(portOption())
    .option('--user <name>', 'your name in the chat', process.env.USER ?? process.env.USERNAME ?? 'guest')
    .action((app: string, { host, port, user }: { host: string; port: number; user: string }) =>
      client(host, port, app === 'chat' ? chatLines(user) : echoBytes),
    );
}
