/** The server models on the command line: what each model and each accept strategy must do. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Bench } from './bench.js';
import { childrenOf, isRunning } from './processes.js';
import { startCli } from './program.js';
import type { ServerModelRow } from './servers.js';
import type { AcceptStrategyRow } from '../../src/servers.js';

const isWindows = process.platform === 'win32';
export const noSignals = isWindows ? ' — not here: Windows has no signals to send' : '';

export async function serve(bench: Bench, args: readonly string[]) {
  const program = bench.own(startCli(['serve', ...args, '--port', '0']));
  const [, port, what] = await program.printed(/listening on 127\.0\.0\.1:(\d+) \((.*)\); Ctrl-C ends it\n/);
  return { program, port: Number(port), what };
}

/** Runs `selectors-native client` with this input. */
export function client(app: string, port: number, input: string) {
  const program = startCli(['client', app, '--port', String(port)]);
  program.process.stdin?.end(input);
  return program.ended;
}

/** Opens a connection that stays open after its first reply. */
export async function guest(bench: Bench, port: number) {
  const socket = connect({ port, host: '127.0.0.1' });
  bench.atEnd(() => socket.destroy());
  socket.on('error', () => undefined); // the server may close with a reset
  socket.write('hello');
  await once(socket, 'data');
  return socket;
}

export function describeServed(models: readonly ServerModelRow[]): void {
  describe('serve MODEL', () => {
    it.each(models)(
      `$name serves the client; Ctrl-C prints the totals, and leaves no process behind${noSignals && ' — not the end here: Windows has no signals to send'}`,
      async ({ name, options, workers }) => {
        using bench = new Bench();
        const isPool = options.includes('workers');
        const { program, port, what } = await serve(bench, [name, ...(isPool ? ['--workers', '2'] : [])]);
        expect(what).toMatch(new RegExp(`^${name}, echo.*${isPool ? ', 2 workers' : ''}$`));
        const large = 'x'.repeat(500_000);
        const { stdout, stderr, code } = await client('echo', port, large);
        expect(stdout === large, `${stdout.length} bytes; ${stderr}`).toBe(true);
        expect(code).toBe(0);
        if (noSignals) return;

        await guest(bench, port);
        const children = childrenOf(program.process.pid ?? -1);
        expect(children.length > 0).toBe(workers === 'processes');
        program.process.kill('SIGINT');
        const ended = await program.ended;
        expect(ended).toMatchObject({ stderr: '', code: 0 });
        const [, totals] = ended.stdout.split('\n');
        if (name === 'reactor' || name === 'proactor') expect(totals).toBe('');
        else
          expect(totals).toMatch(
            /^closed: 2 accepted, 500005 bytes in, 500005 bytes out, \d+ wake-ups \(\d+ empty\), 0 rejected, 0 lost$/,
          );
        expect(children.filter(isRunning)).toEqual([]);
      },
    );
  });
}

export function describeStrategies(strategies: readonly AcceptStrategyRow[]): void {
  describe('serve MODEL', () => {
    it.each(strategies)('prefork --accept $name', async ({ name }) => {
      using bench = new Bench();
      const { port, what } = await serve(bench, ['prefork', '--accept', name, '--workers', '1']);
      const mechanism = name === 'blocking' ? '' : '\\w+, '; // it has no multiplexer
      expect(what).toMatch(new RegExp(`^prefork, echo, ${mechanism}${name}, 1 worker$`));
      expect(await client('echo', port, 'hello')).toMatchObject({ stdout: 'hello', code: 0 });
    });
  });
}
