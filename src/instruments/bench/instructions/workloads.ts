/**
 * What is counted: a row each. The server's side runs under callgrind (program.ts); the clients, of which the row says what they send and
 * what must come back, do not (count.ts).
 *
 * All meet on Unix sockets. What is sent there lies in the receiver's queue when send(2) returns; over TCP that is for the kernel's other
 * threads to do, and a busy machine would now and then make two turns of one. In user space, which is what is counted, they are the same.
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

export interface Clients {
  readonly connections: number;
  /** So many of them, the first ones, send in each exchange. */
  readonly senders: number;
  readonly request: Buffer;
  /** What each connection receives in each exchange. */
  readonly reply: Buffer;
}

/** The server's side, in a process of its own. */
export interface Served {
  /** Accepts those who are waiting: AT_ONCE of them, or the rest. */
  admit(): void;
  /** One exchange: serves all that was sent. */
  exchange(): void;
}

export interface Workload {
  readonly name: string;
  readonly what: string;
  /** Of what are so many instructions counted. */
  readonly unit: 'message' | 'delivery' | 'turn';
  /** So many of them an exchange. */
  readonly units: number;
  /** null: nobody asks. */
  readonly clients: Clients | null;
  /** Exchanges before it is counted. */
  readonly warmUp: number;
  /** Exchanges that are counted at a time. */
  readonly window: number;
  /** @param path where the clients connect. @throws ERR_UNAVAILABLE where this system lacks the mechanism */
  serve(path: string): Served;
}

/** So many connect before they are accepted: fewer than the smallest backlog (128 before Linux 5.4: listen(2)). */
export const AT_ONCE = 100;
const CONNECTIONS = 50;
/**
 * Of the ring. Newer kernels tell of no more than the first 20 completions at once (IO_LOCAL_TW_DEFAULT_MAX of io_uring; 6.18 does): 50
 * messages would be two turns on one kernel, and one on another.
 */
const CONNECTIONS_OF_RING = 16;
const SIZE = 64;
const PIPELINED = 16;
const READERS = 1000;
const REGISTERED = 100;
/** So often nothing may be ready: what was sent is there already. */
const MOST_TURNS = 10_000;

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
      const most = Math.min(open + AT_ONCE, clients.connections);
      for (let turn = 0; open < most; turn++) turnOf(loop, turn);
    },
    exchange() {
      let left = clients.senders;
      for (let turn = 0; left > 0; turn++) left -= turnOf(loop, turn);
    },
  };
}

function turnOf(loop: EventLoop, turn: number): number {
  if (turn === MOST_TURNS) throw new Error('the loop does not see what was sent');
  return loop.runOnce(0);
}

const onReactor = (path: string, application: ApplicationName, clients: Clients): Served =>
  onLoop(new Reactor({ selector: new EpollSelector() }), path, application, clients);

// ------------------------------------------------------------------------------------------------------------- selectors

type Callback = (key: SelectorKey<Callback>) => void;

/** As the documentation of Python's selectors has it: the callback is the key's data, and makes its system calls by itself. */
function inPythonsShape(path: string, { connections, senders }: Clients): Served {
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
      for (const most = Math.min(open + AT_ONCE, connections); open < most; open++) {
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

/** select() alone: nobody reads what makes the first ones ready, and so they stay it. */
function turns(selector: BaseSelector, active: number, units: number): Served & { readonly open: unknown } {
  const pairs = Array.from({ length: REGISTERED }, () => Socket.pair());
  for (const [index, [watched, other]] of pairs.entries()) {
    selector.register(watched, EVENT_READ);
    if (index < active) other.send('x');
  }
  return {
    open: pairs, // or the garbage collector closes them
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
const SAID = 'a line of sixty-four bytes, as short as what people say';

const echoing = (connections: number, bytes: Buffer): Clients => ({
  connections,
  senders: connections,
  request: bytes,
  reply: bytes,
});
const ECHO = echoing(CONNECTIONS, ONE);
const ECHO_OF_RING = echoing(CONNECTIONS_OF_RING, ONE);
const PIPELINE = echoing(CONNECTIONS, MANY);
const CHAT: Clients = {
  connections: READERS,
  senders: 1,
  request: Buffer.from(`${JSON.stringify({ user: 'ann', text: SAID })}\n`),
  reply: Buffer.from(`[ann] ${SAID}\n`),
};

/** Functions that are called once a turn are compiled by V8 after some hundred turns, those that are called for each message much earlier. */
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
    what: `ProactorLoop over io_uring, echo of ${SIZE} bytes on ${CONNECTIONS_OF_RING} connections`,
    units: CONNECTIONS_OF_RING,
    clients: ECHO_OF_RING,
    serve: (path) => onLoop(new ProactorLoop({ proactor: new IoUringProactor() }), path, 'echo', ECHO_OF_RING),
  },
  {
    ...MESSAGES,
    name: 'selector',
    what: `DefaultSelector as in Python, recvInto and send, echo of ${SIZE} bytes on ${CONNECTIONS} connections`,
    units: CONNECTIONS,
    clients: ECHO,
    serve: (path) => inPythonsShape(path, ECHO),
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
