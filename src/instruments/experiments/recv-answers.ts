/** Post 000 (d): what recv answers when there are bytes, when there are none, and after the peer has finished sending. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { distPath } from '../../package-folder.js';
import { Socket } from '../../index.js';
import { startTrace } from '../../trace.js';
import { type ReportTable, type Statement, type Verdict, verdictOf } from '../report/report.js';
import { threeDigits } from '../report/words.js';
import type { Experiment, MeasureContext } from './experiment.js';
import type { LatePeer } from './late-peer.js';

/** One call of recv. */
export interface RecvAnswer {
  readonly isBlocking: boolean;
  /** The state of the socket before the call. */
  readonly state: State;
  /** Bytes returned; the error's name. */
  readonly answer: number | string;
  /** How long the call took, in milliseconds. */
  readonly duration: number;
}

type State =
  | 'bytes have arrived'
  | 'nothing has arrived'
  | 'nothing has arrived, the peer is about to finish'
  | 'the peer has finished sending';

/** The figures of this experiment. */
export interface RecvAnswersFigures {
  /** After so many milliseconds the peer sends, or finishes, while a call waits. */
  readonly delay: number;
  readonly calls: readonly RecvAnswer[];
}

const TEXT = 'hello';
const DELAY: Readonly<Record<MeasureContext['effort'], number>> = { full: 100, quick: 30 };

async function measure(context: MeasureContext): Promise<RecvAnswersFigures> {
  const { effort, signal } = context;
  const delay = DELAY[effort];
  const calls: RecvAnswer[] = [];
  const states: readonly (readonly [State, Omit<LatePeer, 'fd'>])[] = [
    ['bytes have arrived', { text: TEXT, delay: 0 }],
    ['nothing has arrived', { text: TEXT, delay }],
    ['nothing has arrived, the peer is about to finish', { text: null, delay }],
    ['the peer has finished sending', { text: null, delay: 0 }],
  ];
  for (const [index, [state, peer]] of states.entries()) {
    context.progress(index, states.length, state);
    for (const isBlocking of [false, true]) calls.push(await callOf(isBlocking, state, peer));
    signal.throwIfAborted();
  }
  context.progress(states.length, states.length, 'done');
  return { delay, calls };
}

/** @param peer what it does, and after how long; 0: before the call */
async function callOf(isBlocking: boolean, state: State, { text, delay }: Omit<LatePeer, 'fd'>): Promise<RecvAnswer> {
  const [peer, socket] = Socket.pair({ blocking: isBlocking });
  using trace = startTrace({ capacity: 64 });
  try {
    const data: LatePeer = { fd: peer.fd, delay, text };
    const thread = new Worker(distPath('instruments/experiments/late-peer.js'), { workerData: data, execArgv: [] });
    const exited = once(thread, 'exit');
    await (delay === 0 ? exited : once(thread, 'online'));
    const begun = performance.now();
    socket.recv(TEXT.length);
    const duration = performance.now() - begun;
    const call = trace.records().find(({ name }) => name.startsWith('recv'));
    await exited;
    return { isBlocking, state, answer: call?.error ?? call?.result ?? NaN, duration };
  } finally {
    socket.close();
    peer.close();
  }
}

// ------------------------------------------------------------------------------------------------------------------ verdict

function verdict({ delay, calls }: RecvAnswersFigures): Verdict {
  const of = (isBlocking: boolean, state: State) =>
    calls.filter((call) => call.isBlocking === isBlocking && call.state === state);
  const empty = calls.filter(({ answer }) => answer === 0);
  const waits = of(true, 'nothing has arrived');
  const shortest = Math.min(...waits.map(({ duration }) => duration));
  const statement = (text: string, isSo: boolean, because: string): Statement => ({
    statement: text,
    outcome: calls.length === 0 ? 'undecided' : isSo ? 'holds' : 'does not hold here',
    because: calls.length === 0 ? 'Nothing was measured.' : because,
  });
  const answersOf = (rows: readonly RecvAnswer[]): string => [...new Set(rows.map(({ answer }) => answer))].join(', ');
  const nothing = of(false, 'nothing has arrived');
  const finished = [...of(true, 'the peer has finished sending'), ...of(false, 'the peer has finished sending')];
  const arrived = [...of(true, 'bytes have arrived'), ...of(false, 'bytes have arrived')];
  const ended = new Set<State>(['the peer has finished sending', 'nothing has arrived, the peer is about to finish']);
  return verdictOf([
    statement(
      'both kinds of socket return the bytes that have arrived',
      arrived.every(({ answer }) => answer === TEXT.length),
      `The calls returned ${answersOf(arrived)}.`,
    ),
    statement(
      'a non-blocking recv fails with EAGAIN when nothing has arrived',
      nothing.every(({ answer }) => answer === 'EAGAIN'),
      `The calls returned ${answersOf(nothing)}.`,
    ),
    statement(
      'a blocking recv waits until bytes arrive',
      shortest >= delay / 2 && waits.every(({ answer }) => answer === TEXT.length),
      `The peer sent ${delay} ms after its start; the shortest call took ${threeDigits(shortest)} ms.`,
    ),
    statement(
      'neither returns 0 bytes unless the peer has finished sending',
      finished.every(({ answer }) => answer === 0) && empty.every(({ state }) => ended.has(state)),
      `Calls that returned 0 bytes: ${empty.length}, all of sockets whose peer had finished.`,
    ),
  ]);
}

function tables({ calls }: RecvAnswersFigures): readonly ReportTable[] {
  const rows = new Map(calls.map((call) => [`${call.isBlocking} ${call.state}`, call]));
  return [
    {
      title: 'What recv answers',
      columns: ['socket', 'before the call', 'recv returns', 'ms'],
      rows: [...rows.values()].map(({ isBlocking, state, answer, duration }) => [
        isBlocking ? 'blocking' : 'non-blocking',
        state,
        typeof answer === 'string' ? answer : `${answer} bytes`,
        duration,
      ]),
    },
  ];
}

export const recvAnswers: Experiment<RecvAnswersFigures> = {
  name: 'recv-answers',
  title: 'The three answers of recv',
  claim:
    'A blocking recv returns what there is, or waits. A non-blocking recv returns what there is, or fails with EAGAIN. Neither returns nothing unless the peer has finished sending.',
  source: 'post 000, claim (d)',
  setUp: `A pair of sockets, blocking or not. Another thread sends ${TEXT.length} bytes on the other end, or finishes sending: before the call, or while it waits. The answer is the system call’s own, from the trace.`,
  isAvailable: process.platform !== 'win32',
  why: process.platform === 'win32' ? 'on Windows a socket cannot be used by two owners' : 'needs only sockets',
  measure,
  tables,
  charts: () => [],
  verdict,
};
