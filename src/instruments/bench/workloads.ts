/** The workloads of the servers: one row per cell of the tables. */
import type { ServedApplication } from './subjects.js';

/** A workload of the servers. */
export interface Workload {
  /** Name on the command line. */
  readonly name: string;
  readonly title: string;
  /** What is counted. */
  readonly unit: 'message' | 'delivery' | 'connection';
  readonly application: ServedApplication;
  readonly note?: string;
  /** Connections and sizes differ from cell to cell: only ratios can be shown in one chart. Default: false. */
  readonly isMixed?: true;
  readonly cells: readonly LoadCell[];
}

/** One cell of a workload. */
export interface LoadCell {
  /** 'echo 50 x 64' */
  readonly name: string;
  readonly connections: number;
  /** Size of a message, in bytes. */
  readonly size: number;
  /** Messages in flight per connection. */
  readonly pipelined: number;
}

/** A cell of this workload. */
export const echoCell = (workload: string, connections: number, size: number, pipelined = 1): LoadCell => ({
  name: `${workload} ${connections} x ${size}${pipelined === 1 ? '' : ` x ${pipelined}`}`,
  connections,
  size,
  pipelined,
});

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'echo',
    title: 'Echo',
    unit: 'message',
    application: 'echo',
    cells: [64, 4096, 65_536].flatMap((size) =>
      [1, 50, 1000, 10_000].map((connections) => echoCell('echo', connections, size)),
    ),
  },
  {
    name: 'middle',
    title: 'Echo, the sizes and numbers of connections between',
    unit: 'message',
    application: 'echo',
    isMixed: true,
    cells: (
      [
        [200, 512],
        [500, 1024],
        [500, 2048],
        [300, 3000],
        [500, 4096],
        [500, 8192],
        [20, 16_384],
        [1000, 16_384],
      ] as const
    ).map(([connections, size]) => echoCell('middle', connections, size)),
  },
  {
    name: 'pipelined',
    title: 'Echo, 16 messages in flight per connection',
    unit: 'message',
    application: 'echo',
    cells: [echoCell('pipelined', 50, 64, 16)],
  },
  {
    name: 'chat',
    title: 'Chat: one message to 1,000 readers',
    unit: 'delivery',
    application: 'chat',
    note: 'one client sends its next message once all readers have the last; the time is until a reader has it',
    cells: [echoCell('chat', 1000, 64)],
  },
  {
    name: 'rpc',
    title: 'RPC: length-prefixed JSON',
    unit: 'message',
    application: 'rpc',
    note: 'c-epoll and the subjects without JSON have the same frames and replies, but copy the parameters instead of parsing them',
    cells: [echoCell('rpc', 50, 64)],
  },
  {
    name: 'http',
    title: 'HTTP: GET, the reply is the path',
    unit: 'message',
    application: 'http',
    note: 'what a loop leaves to a protocol: this package has sixty lines of it, the others have all of HTTP; compare with echo',
    cells: [echoCell('http', 50, 64)],
  },
  {
    name: 'connect',
    title: 'Connections: open, one message, close on both sides',
    unit: 'connection',
    application: 'echo',
    note: 'the clients open as many sockets and are busier than the servers: compare the CPU time',
    cells: [echoCell('connect', 50, 64)],
  },
];

export const IDLE = {
  name: 'idle',
  title: 'Idle connections: resident bytes per connection',
  note: 'growth of a server that has served 50 connections before, after each connection has echoed one message',
  connections: [10_000, 19_000],
  size: 7,
  /** Seconds that the server serves 50 connections before. */
  servesBefore: 0.5,
} as const;

export interface TurnsRow {
  readonly mechanism: 'epoll' | 'poll' | 'select';
  readonly registered: readonly number[];
}

export const TURNS = {
  name: 'turns',
  title: 'Selector turns: CPU time of one select(0)',
  note: 'inherited eventfds, some of which are and stay readable; select(2) accepts no descriptor above 1023',
  active: [1, 100],
  mechanisms: [
    { mechanism: 'epoll', registered: [100, 1000, 10_000, 19_000] },
    { mechanism: 'poll', registered: [100, 1000, 10_000, 19_000] },
    { mechanism: 'select', registered: [100, 900] },
  ] satisfies readonly TurnsRow[],
  /** The first inherited descriptor. Lower ones are those of the programs themselves. */
  first: 64,
} as const;

/** The names of all workloads. */
export const WORKLOAD_NAMES: readonly string[] = [...WORKLOADS.map(({ name }) => name), 'cores', IDLE.name, TURNS.name];
