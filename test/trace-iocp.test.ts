/** Submissions and completions of IOCP in the trace. */
import { expect, it } from 'vitest';
import { IocpProactor, Socket } from '../src/index.js';
import { startTrace } from '../src/trace.js';
import { formatRecord } from '../src/trace/record.js';

const windowsOnly = process.platform === 'win32' ? '' : ' — not here: IOCP is of Windows';

it.skipIf(windowsOnly)(`operations of IOCP: submissions before their call, completions by id${windowsOnly}`, () => {
  const [one, other] = Socket.pair();
  using proactor = new IocpProactor();
  using trace = startTrace();
  proactor.recv(one, 100);
  proactor.send(other, Buffer.from('hello'));
  let completed = 0;
  while (completed < 2) completed += proactor.wait().length;
  proactor.recv(other, 10).cancel();
  while (completed < 3) completed += proactor.wait().length;
  trace.stop();
  one.close();
  other.close();
  const records = trace.records();
  const operations = records.filter(({ kind }) => kind !== 'call');
  const ids = operations
    .filter(({ kind }) => kind === 'submission')
    .map((record) => /id=(\d+)$/.exec(record.arguments)?.[1]);
  const lines = operations.map((record) => formatRecord(record).replace(/fd=\d+/, 'fd=N'));
  expect(lines.slice(0, 2)).toEqual([`RECV fd=N len=100 id=${ids[0]}`, `SEND fd=N addr="hello" len=5 id=${ids[1]}`]);
  expect(lines.slice(2, 4).sort()).toEqual([`id=${ids[0]} res=5`, `id=${ids[1]} res=5`].sort());
  expect(lines[4]).toBe(`RECV fd=N len=10 id=${ids[2]}`);
  expect(lines[5]).toMatch(new RegExp(`^id=${ids[2]} res=-`));
  const first = records.findIndex(({ kind }) => kind === 'submission');
  expect(records[first + 1]?.name).toBe('WSARecv');
  expect(trace.summary().map(({ name }) => name)).not.toContain('RECV');
});
