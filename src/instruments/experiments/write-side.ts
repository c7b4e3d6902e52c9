/** Post 001 (d) and the chat of post 004: what a non-blocking send takes, and what write interest reports. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EVENT_READ, EVENT_WRITE, Socket, createSelector } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';
import { type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import type { Experiment, MeasureContext } from './experiment.js';

/** One mechanism that watches the sending socket. */
export interface WriteSideRow {
  readonly mechanism: string;
  /** Bytes to send. */
  readonly size: number;
  /** Bytes that each send took, in order. */
  readonly taken: readonly number[];
  /** Waits, while the peer read nothing, that reported EVENT_WRITE. */
  readonly earlyReports: number;
  /** Bytes that the peer received, in the right order. */
  readonly received: number;
  /** Of `waits` waits of an idle connection, those that ended at once: with write interest, and with read interest alone. */
  readonly waits: number;
  readonly endedWithWrite: number;
  readonly endedWithRead: number;
}

/** The figures of this experiment. */
export interface WriteSideFigures {
  readonly rows: readonly WriteSideRow[];
}

const SIZE = 1_000_000;
const SIZE_TEXT = '1,000,000'; // toLocaleString() would cost each program that loads this module 25 ms
const CHUNK = 65_536;
const EARLY_WAITS = 5;
const WAITS: Readonly<Record<MeasureContext['effort'], number>> = { full: 1000, quick: 100 };

const byteAt = (index: number): number => index % 251;

async function measure(context: MeasureContext): Promise<WriteSideFigures> {
  const { effort, signal } = context;
  const here = mechanismsHere.filter(({ kind, available }) => kind === 'readiness' && available);
  const rows: WriteSideRow[] = [];
  for (const [index, { mechanism }] of here.entries()) {
    context.progress(index, here.length, mechanism);
    rows.push({
      mechanism,
      size: SIZE,
      ...sendAll(mechanism),
      waits: WAITS[effort],
      ...idle(mechanism, WAITS[effort]),
    });
    await nextTurn(undefined, { signal });
  }
  context.progress(here.length, here.length, 'done');
  return { rows };
}

/** Sends all bytes as a reactor does: what send does not take is kept until the socket is writable. */
function sendAll(mechanism: string): Pick<WriteSideRow, 'taken' | 'earlyReports' | 'received'> {
  const [sender, peer] = Socket.pair({ blocking: false });
  using selector = createSelector(mechanism);
  try {
    const bytes = Buffer.from(Array.from({ length: SIZE }, (_, index) => byteAt(index)));
    const taken: number[] = [];
    const buffer = Buffer.alloc(CHUNK);
    let [sent, received, earlyReports] = [0, 0, 0];
    const send = (): void => {
      for (
        let count = sender.send(bytes, sent);
        count !== null;
        count = sent < SIZE ? sender.send(bytes, sent) : null
      ) {
        taken.push(count);
        sent += count;
      }
    };
    send();
    selector.register(sender, EVENT_WRITE);
    for (let i = 0; i < EARLY_WAITS; i++) earlyReports += selector.select(0).length;
    while (received < SIZE) {
      for (let count = peer.recvInto(buffer); count !== null && count > 0; count = peer.recvInto(buffer)) {
        for (let i = 0; i < count; i++)
          if (buffer[i] !== byteAt(received + i)) return { taken, earlyReports, received };
        received += count;
      }
      if (sent < SIZE && selector.select(1000).length > 0) send();
    }
    return { taken, earlyReports, received };
  } finally {
    sender.close();
    peer.close();
  }
}

/** Waits on a connection on which nothing is to be received and nothing to be sent. */
function idle(mechanism: string, waits: number): Pick<WriteSideRow, 'endedWithWrite' | 'endedWithRead'> {
  const [socket, peer] = Socket.pair({ blocking: false });
  using selector = createSelector(mechanism);
  try {
    const ended = (): number => Array.from({ length: waits }, () => selector.select(0).length).reduce((a, b) => a + b);
    selector.register(socket, EVENT_READ | EVENT_WRITE);
    const endedWithWrite = ended();
    selector.modify(socket, EVENT_READ);
    return { endedWithWrite, endedWithRead: ended() };
  } finally {
    socket.close();
    peer.close();
  }
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict({ rows }: WriteSideFigures): Verdict {
  const statement = (
    text: string,
    isSo: (row: WriteSideRow) => boolean,
    because: (row: WriteSideRow) => string,
  ): Statement => {
    const row = rows.find((one) => !isSo(one)) ?? rows[0];
    if (row === undefined) return { statement: text, outcome: 'undecided', because: 'Nothing was measured.' };
    return {
      statement: text,
      outcome: rows.every(isSo) ? 'holds' : 'does not hold here',
      because: `${row.mechanism}: ${because(row)}`,
    };
  };
  return verdictOf([
    statement(
      'a non-blocking send takes what fits',
      ({ taken, size }) => (taken[0] ?? 0) > 0 && (taken[0] ?? 0) < size,
      ({ taken, size }) => `the first send took ${taken[0] ?? 0} of ${size} bytes.`,
    ),
    statement(
      'a socket is not writable while the peer reads nothing',
      ({ earlyReports }) => earlyReports === 0,
      ({ earlyReports }) => `${earlyReports} of ${EARLY_WAITS} waits reported EVENT_WRITE.`,
    ),
    statement(
      'what was kept arrives in order, if it is sent when the socket is writable',
      ({ received, size }) => received === size,
      ({ received, size, taken }) => `${received} of ${size} bytes arrived in order, after ${taken.length} sends.`,
    ),
    statement(
      'write interest that is kept without need ends every wait at once',
      ({ waits, endedWithWrite, endedWithRead }) => endedWithWrite === waits && endedWithRead === 0,
      ({ waits, endedWithWrite, endedWithRead }) =>
        `of ${waits} waits on an idle connection ${endedWithWrite} ended at once with write interest, ${endedWithRead} with read interest alone.`,
    ),
  ]);
}

function tables({ rows }: WriteSideFigures): readonly ReportTable[] {
  return [
    {
      title: `Sending ${SIZE_TEXT} bytes to a peer that does not read at first`,
      columns: ['mechanism', 'first send, bytes', 'sends in all', 'EVENT_WRITE meanwhile', 'bytes received in order'],
      rows: rows.map(({ mechanism, taken, earlyReports, received }) => [
        mechanism,
        taken[0] ?? null,
        taken.length,
        earlyReports,
        received,
      ]),
    },
    {
      title: 'Waits on an idle connection that end at once',
      columns: ['mechanism', 'waits', 'with EVENT_WRITE', 'with EVENT_READ alone'],
      rows: rows.map(({ mechanism, waits, endedWithWrite, endedWithRead }) => [
        mechanism,
        waits,
        endedWithWrite,
        endedWithRead,
      ]),
    },
  ];
}

export const writeSide: Experiment<WriteSideFigures> = {
  name: 'write-side',
  title: 'What a send does not take',
  claim:
    'A non-blocking write takes what fits: the rest must be kept, and sent when the socket is writable. Write interest is registered only while something is kept.',
  source: 'post 001, claim (d); post 004, the chat server',
  setUp: `A pair of non-blocking sockets. One sends ${SIZE_TEXT} bytes, and the other one reads only later. Then an idle connection is watched with and without write interest.`,
  isAvailable: true,
  why: 'needs only sockets and a selector',
  measure,
  tables,
  charts: () => [],
  verdict,
};
