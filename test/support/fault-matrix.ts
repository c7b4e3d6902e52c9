/** The fault matrix: which fault is injected into which loop, and which outcome is allowed. */

/**
 * unnoticed   every client receives every byte, and no error is reported
 * reported    the same, and `onError` receives the error, once for consecutive failures
 * refused     one connection per injected fault is closed before its handler is called; `onError` receives the error
 * one lost    one connection per injected fault ends, and its handler receives the error; all others receive every byte
 */
export type Outcome = 'unnoticed' | 'reported' | 'refused' | 'one lost';

export interface Row {
  /** The name of the call in a fault plan. */
  readonly call: string;
  /** Errors, `short=N`. */
  readonly faults: readonly string[];
  /** Which of the calls: see injectFaults(). */
  readonly when: string;
  readonly outcome: Outcome;
  readonly why: string;
}

export interface Subject {
  readonly name: string;
  readonly make: 'reactor' | 'proactor';
  readonly mechanism: string;
  /** run() blocks the thread, start() lives in Node's own loop. */
  readonly mode: 'run' | 'start';
}

const OF_CONNECTIONS: readonly Row[] = [
  { call: 'recv', faults: ['EINTR'], when: 'every2', outcome: 'unnoticed', why: 'the call is made again' },
  { call: 'recv', faults: ['EAGAIN'], when: 'every2', outcome: 'unnoticed', why: 'the loop waits for readiness' },
  { call: 'recv', faults: ['short=1'], when: 'every2', outcome: 'unnoticed', why: 'the rest is received later' },
  {
    ...{ call: 'recv', faults: ['ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOMEM', 'EIO'], when: '9' },
    ...{ outcome: 'one lost', why: 'the connection is broken' },
  },
  { call: 'send', faults: ['EINTR'], when: 'every2', outcome: 'unnoticed', why: 'the call is made again' },
  { call: 'send', faults: ['EAGAIN', 'ENOBUFS'], when: 'every2', outcome: 'unnoticed', why: 'the rest is sent later' },
  {
    call: 'send',
    faults: ['short=1', 'short=700'],
    when: 'every2',
    outcome: 'unnoticed',
    why: 'the rest is sent later',
  },
  {
    ...{ call: 'send', faults: ['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOMEM'], when: '9' },
    ...{ outcome: 'one lost', why: 'the connection is broken' },
  },
];

const OF_ACCEPT: readonly Row[] = [
  {
    ...{
      call: 'accept',
      faults: ['EINTR', 'ECONNABORTED', 'EPROTO', 'EPERM', 'ENETDOWN', 'EHOSTUNREACH'],
      when: '2..4',
    },
    ...{ outcome: 'unnoticed', why: 'the error is that of one client, and the next one is accepted' },
  },
  { call: 'accept', faults: ['EAGAIN'], when: 'every2', outcome: 'unnoticed', why: 'the listener stays ready' },
  {
    ...{ call: 'accept', faults: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'], when: '2..4' },
    ...{ outcome: 'reported', why: 'the loop accepts again after a pause' },
  },
];

const OF_CLOSE: readonly Row[] = [
  {
    call: 'close',
    faults: ['EINTR', 'EIO'],
    when: 'every2',
    outcome: 'unnoticed',
    why: 'the descriptor is closed all the same',
  },
];

/** A wait that fails with EINTR or ENOMEM. */
const ofWait = (call: string, outOfMemory: readonly string[]): readonly Row[] => [
  { call, faults: ['EINTR'], when: 'every2', outcome: 'unnoticed', why: 'the wait goes on' },
  { call, faults: outOfMemory, when: '4..6', outcome: 'reported', why: 'the loop waits again after a pause' },
];

const OF_COMPLETIONS: readonly Row[] = [
  {
    ...{ call: 'recv.completion', faults: ['EINTR', 'EAGAIN', 'ENOBUFS'], when: '4' },
    ...{ outcome: 'unnoticed', why: 'the receive is armed again' },
  },
  {
    call: 'recv.completion',
    faults: ['short=1'],
    when: 'every2',
    outcome: 'unnoticed',
    why: 'the rest is received later',
  },
  {
    ...{ call: 'recv.completion', faults: ['ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'EIO'], when: '4' },
    ...{ outcome: 'one lost', why: 'the connection is broken' },
  },
  {
    ...{ call: 'send.completion', faults: ['EINTR', 'EAGAIN', 'ENOBUFS'], when: 'every2' },
    ...{ outcome: 'unnoticed', why: 'the send is submitted again' },
  },
  {
    ...{ call: 'send.completion', faults: ['short=1', 'short=700'], when: 'every2' },
    ...{ outcome: 'unnoticed', why: 'the rest is sent later' },
  },
  {
    ...{ call: 'send.completion', faults: ['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH'], when: '9' },
    ...{ outcome: 'one lost', why: 'the connection is broken' },
  },
  {
    ...{
      call: 'accept.completion',
      faults: ['EINTR', 'ECONNABORTED', 'EPROTO', 'EPERM', 'ENETDOWN'],
      when: '1..3',
    },
    ...{ outcome: 'unnoticed', why: 'the error is that of one client, and accepting goes on' },
  },
  {
    ...{ call: 'accept.completion', faults: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'], when: '1..3' },
    ...{ outcome: 'reported', why: 'the loop accepts again after a pause' },
  },
];

const OF_EPOLL: readonly Row[] = [
  ...ofWait('epoll_wait', ['ENOMEM']),
  {
    call: 'epoll_wait',
    faults: ['short=1'],
    when: 'every2',
    outcome: 'unnoticed',
    why: 'the next wait has the other events',
  },
];
/** A reactor's third call registers an accepted connection. (An emulation also unregisters; that never fails with these errors.) */
const OF_EPOLL_CTL: readonly Row[] = [
  {
    ...{ call: 'epoll_ctl', faults: ['ENOMEM', 'ENOSPC'], when: '3' },
    ...{ outcome: 'refused', why: 'the connection cannot be watched' },
  },
];

const OF_URING: readonly Row[] = [
  {
    ...{ call: 'io_uring_enter', faults: ['EINTR', 'EAGAIN', 'ENOMEM', 'EBUSY'], when: 'every3' },
    ...{ outcome: 'unnoticed', why: 'the entries stay in the queue, and are submitted by the next call' },
  },
];

const READINESS: readonly (readonly [mechanism: string, rows: readonly Row[]])[] = [
  ['epoll', OF_EPOLL],
  ['poll', ofWait('poll', ['ENOMEM'])],
  ['select', ofWait('select', ['ENOMEM'])],
];

/** [subject, the rules tried on it] */
export const MATRIX: readonly (readonly [Subject, readonly Row[]])[] = [
  ...READINESS.flatMap(([mechanism, rows]) =>
    (['run', 'start'] as const).map(
      (mode) =>
        [
          { name: `reactor, ${mechanism}, ${mode}()`, make: 'reactor', mechanism, mode } satisfies Subject,
          [
            ...OF_CONNECTIONS,
            ...OF_ACCEPT,
            ...OF_CLOSE,
            ...(mode === 'run' ? rows : []),
            ...(mechanism === 'epoll' ? OF_EPOLL_CTL : []),
          ],
        ] as const,
    ),
  ),
  ...(['run', 'start'] as const).map(
    (mode) =>
      [
        { name: `proactor, io_uring, ${mode}()`, make: 'proactor', mechanism: 'io_uring', mode } satisfies Subject,
        [...OF_COMPLETIONS, ...OF_URING, ...OF_CLOSE],
      ] as const,
  ),
  ...READINESS.map(
    ([mechanism, rows]) =>
      [
        {
          ...{ name: `proactor, emulated:${mechanism}, run()`, make: 'proactor' },
          ...{ mechanism: `emulated:${mechanism}`, mode: 'run' },
        } satisfies Subject,
        [...OF_CONNECTIONS, ...OF_ACCEPT, ...OF_CLOSE, ...rows],
      ] as const,
  ),
];

/** The rule in a fault plan. */
export const ruleOf = ({ call, when }: Row, fault: string): string => `${call}:${fault}@${when}`;

/** The table in docs/semantics.md, between its markers. */
export const TABLE = /(<!-- faults: test\/long\/fault-matrix.test.ts -->\n\n)[^]*?(\n\n<!-- end -->)/;

/** @param holds the cells that hold, as 'subject/rule' */
export function tableOf(holds: ReadonlySet<string>): string {
  const lines = new Map<string, { readonly row: Row; readonly loops: Set<string>; cells: number; held: number }>();
  for (const [{ make, mechanism, name }, rows] of MATRIX) {
    for (const row of rows) {
      const key = JSON.stringify(row);
      const line = lines.get(key) ?? { row, loops: new Set(), cells: 0, held: 0 };
      lines.set(key, line);
      line.loops.add(make === 'reactor' ? 'reactor' : mechanism.replace(/emulated:.*/, 'emulated'));
      line.cells += row.faults.length;
      line.held += row.faults.filter((fault) => holds.has(`${name}/${ruleOf(row, fault)}`)).length;
    }
  }
  const text = [...lines.values()].map(({ row, loops, cells, held }) => {
    const faults = row.faults.map((fault) => `\`${fault}\``).join(', ');
    return [
      `\`${row.call}\``,
      faults,
      `\`${row.when}\``,
      [...loops].join(', '),
      row.outcome,
      row.why,
      `${held} of ${cells}`,
    ];
  });
  const head = ['call', 'fault', 'when', 'loop', 'outcome', 'why', 'cells that hold'];
  return [head, head.map(() => '---'), ...text].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
