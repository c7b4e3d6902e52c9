/** Windows behaviour that Wine lacks, simulated by test/native/windows-ways.c. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SharedFile } from '../src/syscalls.js';
import { Bench } from './support/bench.js';
import { type Program, answerOf, startCli, startProgram } from './support/program.js';

const ways = join(process.env.SELECTORS_NATIVE_PREBUILD ?? '', 'windows_ways.node');
const isHere = process.platform === 'win32' && existsSync(ways);

/** A path longer than MAX_PATH (260) in a new folder. */
function longFolder(bench: Bench): string {
  const folder = join(
    bench.folder(),
    ...Array.from({ length: 6 }, () => 'a-name-of-sixty-characters-'.repeat(3).slice(0, 60)),
  );
  mkdirSync(folder, { recursive: true });
  return folder;
}

it('SharedFile and a trace accept paths of more than 260 characters', async () => {
  using bench = new Bench();
  const folder = longFolder(bench);
  const path = join(folder, 'shared');
  using file = new SharedFile(path, 4096);
  using again = new SharedFile(path, 4096);
  new Uint8Array(file.memory)[0] = 7;
  expect([new Uint8Array(again.memory)[0], statSync(path).size]).toEqual([7, 4096]);
  const script = join(folder, 'program.js');
  writeFileSync(script, '');
  const temporary = { TMPDIR: folder, TEMP: folder, TMP: folder };
  const traced = bench.own(startCli(['trace', process.execPath, script], temporary));
  expect(await traced.ended).toMatchObject({ code: 0 });
});

describe.skipIf(!isHere)(`Windows${isHere ? '' : ' — not here: npm run test:windows runs them'}`, () => {
  const start = (bench: Bench, body: string): Program =>
    bench.own(startProgram(`const ways = require(${JSON.stringify(ways)});\n${body}`));

  it('a refused connect is reported where WSAPoll does not report it (Windows before 10, version 2004)', async () => {
    using bench = new Bench();
    const body = `
      const { EmulatedProactor, EVENT_READ, EVENT_WRITE, PollSelector, ProactorLoop, Reactor, Socket } = selectors;
      if (!ways.hideFailedConnects()) throw new Error('WSAPoll is not imported');
      const deaf = () => {
        const socket = new Socket().bind({ host: '127.0.0.1', port: 0 });
        const address = socket.localAddress;
        socket.close();
        return address;
      };
      const connecting = () => {
        const socket = new Socket({ blocking: false });
        socket.connect(deaf());
        return socket;
      };
      (async () => {
        const answers = [];
        const selector = new PollSelector();
        const socket = connecting();
        selector.register(socket, EVENT_READ | EVENT_WRITE);
        answers.push(selector.select(60_000)[0][1] & EVENT_WRITE, socket.error().code);
        selector.modify(socket, EVENT_WRITE);
        answers.push((await selector.selectAsync({ timeout: 60_000 })).length);
        const raw = new syscalls.Poll();
        const other = connecting();
        raw.register(other, syscalls.POLLOUT);
        answers.push((raw.poll(60_000)[0].events & syscalls.POLLERR) !== 0);
        const quiet = new Socket({ type: 'dgram' });
        raw.unregister(other);
        raw.register(quiet, syscalls.POLLIN);
        const [a] = Socket.pair({ blocking: false });
        while (a.send(Buffer.alloc(65536)) !== null);
        raw.register(a, syscalls.POLLOUT);
        answers.push(raw.poll(250).length);
        const p = new EmulatedProactor({ selector: new PollSelector() });
        const operation = p.connect(new Socket(), deaf());
        while (operation.pending) p.wait(60_000);
        answers.push(operation.error.code);
        for (const loop of [new Reactor({ selector: new PollSelector() }), new ProactorLoop({ proactor: p })]) {
          loop.connect(deaf(), { close: (_, error) => { answers.push(error.code); loop.stop(); } });
          loop.run();
        }
        console.log(JSON.stringify(answers));
        process.exit();
      })();
    `;
    const refused = 'ECONNREFUSED';
    expect(await answerOf(start(bench, body).ended)).toEqual([2, refused, 1, true, 0, refused, refused, refused]);
  });

  it('closing the console is SIGHUP, and the loop has its time before the process ends', async () => {
    using bench = new Bench();
    const body = `
      const loop = new selectors.Reactor();
      loop.onSignal('SIGHUP', () => {
        process.on('SIGHUP', () => undefined); // installs our handler again
        let turns = 0;
        const turn = () => {
          if (++turns < 20) return void loop.callLater(20, turn);
          console.log(JSON.stringify('ended in order'));
          loop.stop();
        };
        turn();
      });
      loop.callLater(0, () => { if (!ways.closeConsole()) throw new Error("no CtrlRoutine"); });
      loop.run();
      process.exit(0);
    `;
    const { code, stdout, stderr } = await start(bench, body).ended;
    expect([stdout.trim(), code], stderr).toEqual(['"ended in order"', 0]);
  });
});
