/**
 * The workloads, one row each. The server's side runs under callgrind (program.ts); the clients do not (count.ts). A row gives their
 * requests and the expected replies.
 *
 * They use Unix sockets, where a message is in the receiver's queue when send(2) returns. Over TCP other threads of the kernel deliver it,
 * and on a busy machine one turn would sometimes become two. In user space, which is what is counted, both are the same.
 */
import {
  type BaseSelector,
  DefaultSelector,
  EVENT_READ,
  EpollSelector,
  type EventLoop,
  IoUringProactor,
  PollSelector,
  ProactorLoop,
  Reactor,
  SelectSelector,
  type SelectorKey,
  Socket,
} from '../../../index.js';
import { type ApplicationName, applicationRow } from '../../../servers/applications/index.js';

/** The clients of a workload. */
export interface Clients {
  readonly connections: number;
  /** Number of connections, the first ones, that send in each exchange. */
  readonly senders: number;
  readonly request: Buffer;
  /** The bytes that each connection receives in each exchange. */
  readonly reply: Buffer;
}

/** The server's side, in a process of its own. */
export interface Served {
  /** Accepts waiting connections: AT_ONCE, or the rest. */
  admit(): void;
  /** Serves all requests of one exchange. */
  exchange(): void;
}

export interface Workload {
  readonly name: string;
  readonly what: string;
  /** What instructions are counted per. */
  readonly unit: 'message' | 'delivery' | 'turn';
  /** Units per exchange. */
  readonly units: number;
  /** null: a workload without clients. */
  readonly clients: Clients | null;
  /** Exchanges before the first count. */
  readonly warmUp: number;
  /** Exchanges per count. */
  readonly window: number;
  /** Starts the server. @param path of the Unix socket. @throws ERR_UNAVAILABLE if this system lacks the mechanism */
  serve(path: string): Served;
}

/** Clients that connect before they are accepted: fewer than the smallest backlog (128 before Linux 5.4: listen(2)). */
export const AT_ONCE = 100;
const CONNECTIONS = 50;
/**
 * Connections of the ring. Newer kernels (6.18) report at most 20 completions at once (IO_LOCAL_TW_DEFAULT_MAX of io_uring): 50 messages
 * would take two turns on one kernel and one on another.
 */
const RING_CONNECTIONS = 16;
const SIZE = 64;
const PIPELINED = 16;
const READERS = 1000;
const REGISTERED = 100;
/** Turns without the expected events after which a workload fails: the requests are already there. */
const MAX_TURNS = 10_000;

// ----------------------------------------------------------------------------------------------------------------- loops

function onLoop(loop: EventLoop, path: string, application: ApplicationName, clients: Clients): Served {
  const created = applicationRow(application).create();
  let open = 0;
  loop.listen(
    { path },
    {
      ...created,
      open(connection) {
        open++;
        created.open?.(connection);
      },
    },
  );
  return {
    admit() {
      const limit = Math.min(open + AT_ONCE, clients.connections);
      for (let turn = 0; open < limit; turn++) turnOf(loop, turn);
    },
    exchange() {
      let left = clients.senders;
      for (let turn = 0; left > 0; turn++) left -= turnOf(loop, turn);
    },
  };
}

function turnOf(loop: EventLoop, turn: number): number {
  if (turn === MAX_TURNS) throw new Error('the loop does not report what was sent');
  return loop.runOnce(0);
}

const onReactor = (path: string, application: ApplicationName, clients: Clients): Served =>
  onLoop(new Reactor({ selector: new EpollSelector() }), path, application, clients);

// ------------------------------------------------------------------------------------------------------------- selectors

type Callback = (key: SelectorKey<Callback>) => void;

/** As in the documentation of Python's selectors: the callback is the key's data and makes its own system calls. */
function pythonStyle(path: string, { connections, senders }: Clients): Served {
  const listener = new Socket({ family: 'unix' }).bind({ path }).listen();
  const selector = new DefaultSelector<Callback>();
  const buffer = Buffer.allocUnsafeSlow(65_536);
  let open = 0;
  const echo: Callback = ({ fileobj }) => {
    const socket = fileobj as Socket;
    const received = socket.recvInto(buffer);
    if (received !== null) socket.send(buffer, 0, received);
  };
  return {
    admit() {
      for (const limit = Math.min(open + AT_ONCE, connections); open < limit; open++) {
        const socket = listener.accept() as Socket;
        socket.blocking = false;
        selector.register(socket, EVENT_READ, echo);
      }
    },
    exchange() {
      const ready = selector.select(0);
      for (const [key] of ready) key.data(key);
      if (ready.length !== senders) throw new Error(`${ready.length} are ready, not ${senders}`);
    },
  };
}

/** select() alone: the first sockets stay ready, because their bytes are never read. */
function turns(selector: BaseSelector, active: number, units: number): Served & { readonly open: unknown } {
  const pairs = Array.from({ length: REGISTERED }, () => Socket.pair());
  for (const [index, [watched, other]] of pairs.entries()) {
    selector.register(watched, EVENT_READ);
    if (index < active) other.send('x');
  }
  return {
    open: pairs, // keeps the garbage collector from closing them
    admit: () => undefined,
    exchange() {
      for (let turn = 0; turn < units; turn++) {
        const { length } = selector.select(0);
        if (length !== active) throw new Error(`${length} are ready, not ${active}`);
      }
    },
  };
}

// ----------------------------------------------------------------------------------------------------------------- rows

const ONE = Buffer.alloc(SIZE, 'message ');
const MANY = Buffer.concat(Array.from({ length: PIPELINED }, () => ONE));
const CHAT_TEXT = 'a line of sixty-four bytes, as short as what people say';

const echoing = (connections: number, bytes: Buffer): Clients => ({
  connections,
  senders: connections,
  request: bytes,
  reply: bytes,
});
/** Sizes between a small message and a large one: what is packed, copied, and sent from where it is. */
const MIDDLE_SIZES = [4096, 16_384];
const ECHO = echoing(CONNECTIONS, ONE);
const ECHO_OF_RING = echoing(RING_CONNECTIONS, ONE);
const PIPELINE = echoing(CONNECTIONS, MANY);
const CHAT: Clients = {
  connections: READERS,
  senders: 1,
  request: Buffer.from(`${JSON.stringify({ user: 'ann', text: CHAT_TEXT })}\n`),
  reply: Buffer.from(`[ann] ${CHAT_TEXT}\n`),
};

/** V8 compiles functions that run once per turn after some hundred turns, and functions that run per message much earlier. */
const MESSAGES = { unit: 'message', warmUp: 600, window: 20 } as const;
const TURNS = { unit: 'turn', clients: null, warmUp: 300, window: 20 } as const;

export const workloads: readonly Workload[] = [
  {
    ...MESSAGES,
    name: 'reactor',
    what: `Reactor over epoll, echo of ${SIZE} bytes on ${CONNECTIONS} connections`,
    units: CONNECTIONS,
    clients: ECHO,
    serve: (path) => onReactor(path, 'echo', ECHO),
  },
  {
    ...MESSAGES,
    name: 'proactor',
    what: `ProactorLoop over io_uring, echo of ${SIZE} bytes on ${RING_CONNECTIONS} connections`,
    units: RING_CONNECTIONS,
    clients: ECHO_OF_RING,
    serve: (path) => onLoop(new ProactorLoop({ proactor: new IoUringProactor() }), path, 'echo', ECHO_OF_RING),
  },
  ...MIDDLE_SIZES.flatMap((size): Workload[] => {
    const clients = echoing(RING_CONNECTIONS, Buffer.alloc(size, 'message '));
    const what = `echo of ${size} bytes on ${RING_CONNECTIONS} connections`;
    const common = { ...MESSAGES, units: RING_CONNECTIONS, clients };
    return [
      {
        ...common,
        name: `reactor-${size}`,
        what: `Reactor over epoll, ${what}`,
        serve: (path) => onReactor(path, 'echo', clients),
      },
      {
        ...common,
        name: `proactor-${size}`,
        what: `ProactorLoop over io_uring, ${what}`,
        serve: (path) => onLoop(new ProactorLoop({ proactor: new IoUringProactor() }), path, 'echo', clients),
      },
    ];
  }),
  {
    ...MESSAGES,
    name: 'selector',
    what: `DefaultSelector as in Python, recvInto and send, echo of ${SIZE} bytes on ${CONNECTIONS} connections`,
    units: CONNECTIONS,
    clients: ECHO,
    serve: (path) => pythonStyle(path, ECHO),
  },
  {
    ...MESSAGES,
    name: 'pipelined',
    what: `Reactor over epoll, echo of ${PIPELINED} × ${SIZE} bytes at a time on ${CONNECTIONS} connections`,
    units: PIPELINED * CONNECTIONS,
    clients: PIPELINE,
    serve: (path) => onReactor(path, 'echo', PIPELINE),
  },
  {
    name: 'fan-out',
    what: `Reactor over epoll, a line of chat to ${READERS} readers`,
    unit: 'delivery',
    units: READERS,
    clients: CHAT,
    warmUp: 80,
    window: 3,
    serve: (path) => onReactor(path, 'chat', CHAT),
  },
  {
    ...TURNS,
    name: 'epoll-1',
    what: `EpollSelector.select(), ${REGISTERED} registered, 1 ready`,
    units: 100,
    serve: () => turns(new EpollSelector(), 1, 100),
  },
  {
    ...TURNS,
    name: 'epoll-100',
    what: `EpollSelector.select(), ${REGISTERED} registered, all ready`,
    units: 10,
    serve: () => turns(new EpollSelector(), REGISTERED, 10),
  },
  {
    ...TURNS,
    name: 'poll-1',
    what: `PollSelector.select(), ${REGISTERED} registered, 1 ready`,
    units: 50,
    serve: () => turns(new PollSelector(), 1, 50),
  },
  {
    ...TURNS,
    name: 'select-1',
    what: `SelectSelector.select(), ${REGISTERED} registered, 1 ready`,
    units: 50,
    serve: () => turns(new SelectSelector(), 1, 50),
  },
];
