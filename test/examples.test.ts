/** The programs that README.md shows: they are those of examples/, and they serve clients that reset or never read. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Socket as NetSocket, connect } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Bench } from './support/bench.js';
import { root } from './support/program.js';

it('README.md shows examples/echo.mjs as it is', () => {
  const example = readFileSync(join(root, 'examples/echo.mjs'), 'utf8').replaceAll('\r\n', '\n');
  const readme = readFileSync(join(root, 'README.md'), 'utf8').replaceAll('\r\n', '\n');
  expect(readme).toContain(`<!-- example: examples/echo.mjs -->\n\n\`\`\`js\n${example}\`\`\`\n`);
});

it(
  'examples/echo.mjs serves others beside a client that resets and one that never reads',
  { timeout: 60_000 },
  async () => {
    using bench = new Bench();
    const { port } = bench.deafAddress();
    const server = spawn(process.execPath, [join(root, 'examples/echo.mjs')], {
      env: { ...process.env, PORT: String(port) },
      stdio: 'ignore',
    });
    bench.atEnd(() => server.kill('SIGKILL'));
    const open = async (): Promise<NetSocket> => {
      for (;;) {
        const client = connect(port, '127.0.0.1');
        bench.atEnd(() => client.destroy());
        const isOpen = await new Promise<boolean>((resolve) => {
          client.once('connect', () => resolve(true)).once('error', () => resolve(false));
        });
        if (isOpen) return client.on('error', () => undefined);
      }
    };
    const echoed = async (text: string): Promise<string> => {
      const client = await open();
      let got = '';
      client.on('data', (chunk) => (got += chunk.toString())).end(text);
      await new Promise((resolve) => client.once('close', resolve));
      return got;
    };
    const deaf = (await open()).pause();
    // More than both kernels' buffers hold: the server cannot take it all.
    for (let i = 0; i < 32; i++) deaf.write(Buffer.alloc(1 << 20));
    expect(await echoed('first')).toBe('first');
    for (let i = 0; i < 5; i++) {
      const resetting = await open();
      resetting.write(Buffer.alloc(1 << 20));
      await new Promise((resolve) => resetting.once('data', resolve));
      resetting.resetAndDestroy();
      expect(await echoed(`after reset ${i}`)).toBe(`after reset ${i}`);
    }
    const long = 'x'.repeat(1 << 20);
    expect((await echoed(long)) === long).toBe(true);
    expect(deaf.writableLength).toBeGreaterThan(0);
    expect(server.exitCode).toBe(null);
  },
);
