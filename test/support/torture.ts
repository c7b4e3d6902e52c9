/**
 * Random operations on a loop, checked against a model of what each connection must see. Clients are plain sockets, driven between the turns
 * of the loop; its handlers act at random too. Every byte is a function of its sender and its position in the stream, so that a
 * lost, duplicated or misdelivered byte is detected.
 *
 * The same seed makes the same choices; the results of system calls may differ.
 */
import assert from 'node:assert/strict';
import type {
  Connection,
  ConnectionHandler,
  EventLoop,
  Listener,
  Reactor,
  Socket,
  SocketAddress,
} from '../../src/index.js';
import { randomOf } from './random.js';

export interface TortureApi {
  readonly Socket: typeof Socket;
  /** Makes a loop. */
  loop(onError: (error: unknown) => void): EventLoop;
  /** Also for loops that watch descriptors: addReader and the like. */
  watching?(loop: EventLoop): Reactor | undefined;
}

export interface Tally {
  operations: number;
  turns: number;
  opened: number;
  closed: number;
  resets: number;
  throws: number;
  bytesIn: number;
  bytesOut: number;
  drains: number;
  numbersUsedAgain: number;
}

const MAX_CLIENTS = 150;
const MAX_PIECE = 80_000;
const PERIOD = 65_521;
/** Buffer size so small that a few messages fill it: sends are then short, or would block. */
const SMALL_BUFFER = 4096;
/** SO_LINGER for a reset, which discards unread bytes at both ends; a clean close must not. */
const LINGER = 0;

const pattern = Buffer.from(
  Array.from({ length: PERIOD + 2 * MAX_PIECE }, (_, i) => ((i % PERIOD) * 2_654_435_761) >>> 23),
);

/** The bytes of stream `id` from `position` on. */
function streamOf(id: number, position: number, length: number): Buffer {
  const offset = (id * 7919 + position) % PERIOD;
  return pattern.subarray(offset, offset + length);
}

function checkStream(who: string, id: number, position: number, bytes: Buffer): void {
  for (let start = 0; start < bytes.length; start += MAX_PIECE) {
    const part = bytes.subarray(start, start + MAX_PIECE);
    if (part.equals(streamOf(id, position + start, part.length))) continue;
    const expected = streamOf(id, position + start, part.length);
    const at = part.findIndex((byte, i) => byte !== expected[i]);
    assert.fail(`${who}: byte ${position + start + at} differs, in ${part.length} bytes from ${position + start} on`);
  }
}

function portsOf(server: SocketAddress, client: SocketAddress): string {
  return [server, client].map((address) => ('port' in address ? address.port : '?')).join(' and ');
}

/** A listener outside the loop: the loop adopts each accepted socket at once, and calls `open` in the next turn. */
class ManualListener implements Pick<Listener, 'address' | 'connections' | 'close'> {
  readonly address: SocketAddress;
  readonly connections = 0;
  readonly #socket: Socket;
  readonly #adopt: (accepted: Socket) => void;

  constructor(socket: Socket, adopt: (accepted: Socket) => void) {
    this.#socket = socket;
    this.#adopt = adopt;
    this.address = socket.localAddress;
  }

  accept(): void {
    this.#adopt(this.#socket.accept() as Socket);
  }

  close(): void {
    this.#socket.close();
  }
}

/** One connection, as both ends must see it. */
class Conversation {
  /** Bytes that the client has sent, and that the server's handler has received. */
  asked = 0;
  received = 0;
  /** Bytes that the server has written, and that the client has received. */
  said = 0;
  got = 0;
  clientFinished = false;
  clientSawEnd = false;
  /** The connection was aborted: only a prefix of each stream can be expected. */
  cut = false;
  serverEnded = false;
  state: 'waiting' | 'open' | 'closed' = 'waiting';
  peerEnded = false;
  owesDrain = false;

  constructor(
    readonly id: number,
    readonly client: Socket | undefined,
    readonly isSlow: boolean,
    /** The server writes back each chunk in the memory that it received it in. */
    readonly isEcho: boolean,
  ) {}

  get question(): number {
    return 2 * this.id;
  }

  get answer(): number {
    return this.isEcho ? this.question : 2 * this.id + 1;
  }
}

class Torture {
  readonly tally: Tally = {
    operations: 0,
    turns: 0,
    opened: 0,
    closed: 0,
    resets: 0,
    throws: 0,
    bytesIn: 0,
    bytesOut: 0,
    drains: 0,
    numbersUsedAgain: 0,
  };
  readonly #api: TortureApi;
  readonly #random: () => number;
  readonly #loop: EventLoop;
  readonly #listeners: (Listener | ManualListener)[] = [];
  readonly #clients: Conversation[] = [];
  /**
   * By the ports of both ends: the connections that wait to be accepted, in order. A port may be reused, even between the same
   * ends, before a connection that was reset meanwhile has been accepted.
   */
  readonly #waiting = new Map<string, Conversation[]>();
  readonly #open = new Map<Connection, Conversation>();
  readonly #numbers = new Set<number>();
  #lastId = 0;
  #expectedThrows = 0;
  readonly #unexpected: unknown[] = [];

  constructor(api: TortureApi, seed: number) {
    this.#api = api;
    this.#random = randomOf(seed);
    this.#loop = api.loop((error) => {
      if ((error as Error).message === 'on purpose') this.tally.throws++;
      else this.#unexpected.push(error);
    });
  }

  run(operations: number): Tally {
    try {
      for (let i = 0; i < 3; i++) this.#listeners.push(this.#listen(i));
      const watching = this.#api.watching?.(this.#loop);
      const pairs = watching === undefined ? undefined : new WatchedPairs(this.#api.Socket, watching, this.#random);
      while (this.tally.operations < operations) {
        this.tally.operations++;
        this.#operate(pairs);
        if (this.#chance(0.25)) this.#turn();
      }
      pairs?.close();
      this.#finish();
      return this.tally;
    } finally {
      this.#loop.close();
      for (const listener of this.#listeners) listener.close();
      for (const { client } of this.#clients) client?.close();
    }
  }

  // -------------------------------------------------------------------------------------------------------------- random choices

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)];
  }

  #size(): number {
    const kind = this.#random();
    return 1 + this.#below(kind < 0.7 ? 100 : kind < 0.95 ? 5000 : MAX_PIECE);
  }

  // ----------------------------------------------------------------------------------------------------------- the server

  /** Listener 0: a listening socket that the loop adopts. 1: a listener of the loop. 2: its accepted connections are adopted. */
  #listen(index: number): Listener | ManualListener {
    const highWaterMark = [1000, 65_536, 300_000][index] ?? 1;
    const handler = this.#handler(index);
    if (index === 1) return this.#loop.listen({ highWaterMark, maxConnections: 60 }, handler);
    const socket = new this.#api.Socket().bind({ host: '127.0.0.1', port: 0 }).listen();
    if (index === 0) return this.#loop.listen({ socket, highWaterMark, maxConnections: 60 }, handler);
    return new ManualListener(socket, (accepted) => this.#loop.adopt(accepted, handler, { highWaterMark }));
  }

  #handler(index: number): ConnectionHandler {
    const handler: ConnectionHandler = {
      borrowsChunks: index === 1,
      open: (connection) => this.#opened(connection),
      data: (connection, chunk) => {
        const conversation = this.#of(connection);
        assert.equal(conversation.peerEnded, false, 'no data after the end of the stream');
        checkStream(`client ${conversation.id} → server`, conversation.question, conversation.received, chunk);
        conversation.received += chunk.length;
        this.tally.bytesIn += chunk.length;
        if (conversation.isEcho) this.#echo(connection, conversation, chunk);
        this.#act(connection, conversation);
      },
      drain: (connection) => {
        const conversation = this.#of(connection);
        assert.ok(conversation.owesDrain, 'drain only after write() returned false');
        assert.ok(
          4 * connection.writableLength <= ([1000, 65_536, 300_000][index] ?? 1),
          'drain only below a quarter of highWaterMark',
        );
        conversation.owesDrain = false;
        this.tally.drains++;
        if (this.#chance(0.5)) this.#write(connection, conversation);
      },
      close: (connection, error) => this.#closed(connection, error),
    };
    if (index !== 2) return handler;
    // With an `end` handler the write side stays open: it is ended now, or in a later turn.
    handler.end = (connection) => {
      const conversation = this.#of(connection);
      assert.equal(conversation.peerEnded, false, '`end` is called once');
      conversation.peerEnded = true;
      const end = (): void => {
        if (connection.fd < 0) return;
        if (!conversation.serverEnded && this.#chance(0.5)) this.#write(connection, conversation);
        conversation.serverEnded = true;
        connection.end();
      };
      if (this.#chance(0.5)) end();
      else this.#loop.callSoon(end);
    };
    return handler;
  }

  #of(connection: Connection): Conversation {
    const conversation = this.#open.get(connection);
    assert.ok(conversation !== undefined, 'a handler is called for a connection that is not open');
    return conversation;
  }

  #opened(connection: Connection): void {
    const ports = portsOf(connection.localAddress, connection.remoteAddress);
    const waiting = this.#waiting.get(ports);
    const conversation = waiting?.shift();
    assert.ok(conversation?.state === 'waiting', `no client waits for a connection between ${ports}`);
    if (waiting?.length === 0) this.#waiting.delete(ports);
    conversation.state = 'open';
    assert.equal(this.#open.has(connection), false, '`open` is called once');
    this.#open.set(connection, conversation);
    if (conversation.isSlow) this.#shrink(connection.fd, 'SO_SNDBUF');
    if (this.#numbers.has(connection.fd)) this.tally.numbersUsedAgain++;
    this.#numbers.add(connection.fd);
    this.tally.opened++;
    if (this.#chance(0.1)) this.#act(connection, conversation);
  }

  #closed(connection: Connection, error: Error | null): void {
    const conversation = this.#of(connection);
    this.#open.delete(connection);
    conversation.state = 'closed';
    this.tally.closed++;
    if (error === null && !conversation.cut) {
      assert.ok(conversation.clientFinished, 'a clean close only after the client has finished');
      assert.equal(
        conversation.received,
        conversation.asked,
        `client ${conversation.id}: bytes lost on the way to the server`,
      );
    }
    if (error !== null) {
      // Only connections that were aborted on purpose may fail.
      assert.ok(conversation.cut, `client ${conversation.id}: ${error.message}`);
      conversation.cut = true;
    }
  }

  #shrink(fd: number, name: 'SO_SNDBUF' | 'SO_RCVBUF'): void {
    const socket = this.#api.Socket.fromFd(fd);
    socket.setOption(name, SMALL_BUFFER);
    socket.detach();
  }

  #write(connection: Connection, conversation: Conversation): void {
    if (!conversation.isEcho)
      this.#send(connection, conversation, streamOf(conversation.answer, conversation.said, this.#size()));
  }

  #echo(connection: Connection, conversation: Conversation, chunk: Buffer): void {
    this.#send(connection, conversation, chunk);
    // The loop must not use the memory again after write() has returned: overwrite it.
    if (chunk.length <= 4096 && this.#chance(0.5)) chunk.fill(0);
  }

  #send(connection: Connection, conversation: Conversation, bytes: Buffer): void {
    if (conversation.serverEnded || connection.fd < 0) return;
    const before = connection.writableLength;
    const goesOn = connection.write(bytes);
    const taken = connection.writableLength - before;
    if (taken === 0) {
      // write() returned false and took nothing: allowed only if the peer has finished or left, so that the connection has ended.
      assert.ok(
        !goesOn && (conversation.clientFinished || conversation.cut),
        'write() takes the bytes unless the connection has ended',
      );
      return;
    }
    assert.equal(taken, bytes.length);
    conversation.said += taken;
    if (!goesOn) conversation.owesDrain = true;
    this.tally.bytesOut += bytes.length;
  }

  /** Does at random one of the things that a handler may do. */
  #act(connection: Connection, conversation: Conversation): void {
    const kind = this.#random();
    if (kind < 0.6) return this.#write(connection, conversation);
    if (kind < 0.7) {
      for (let i = this.#below(6); i >= 0; i--) this.#write(connection, conversation);
      return;
    }
    if (kind < 0.72) {
      // This connection, or another one that may have an event in the same batch.
      const [paused] = this.#chance(0.5) ? [connection] : (this.#pick([...this.#open]) ?? [connection]);
      paused.pause();
      const resume = (): void => paused.resume();
      if (this.#chance(0.5)) this.#loop.callSoon(resume);
      else this.#loop.callLater(this.#below(3), resume);
      return;
    }
    if (kind < 0.73) {
      conversation.serverEnded = true;
      return connection.end();
    }
    if (kind < 0.74) {
      const [victim] = this.#pick([...this.#open]) ?? [connection];
      const cut = this.#of(victim);
      cut.cut = true;
      return victim.destroy(this.#chance(0.5) ? new Error('destroyed') : undefined);
    }
    if (kind < 0.745) {
      conversation.cut = true;
      this.#expectedThrows++;
      throw new Error('on purpose');
    }
    if (kind < 0.78) {
      // Write to another connection.
      const other = this.#pick([...this.#open]);
      if (other !== undefined) this.#write(...other);
    }
  }

  // ---------------------------------------------------------------------------------------------------------- the clients

  #operate(pairs: WatchedPairs | undefined): void {
    const kind = this.#random();
    if (kind < 0.04 || this.#clients.length === 0) return this.#connect();
    if (kind < 0.07) return pairs?.operate();
    if (kind < 0.0701) return this.#relisten();
    const index = this.#below(this.#clients.length);
    const conversation = this.#clients[index] as Conversation;
    if (kind < 0.5) return this.#ask(conversation);
    if (kind < 0.97) return this.#listenTo(conversation, index);
    if (kind < 0.985) return this.#finishAsking(conversation);
    this.#leave(conversation, index, this.#chance(0.5));
  }

  #connect(): void {
    const listener = this.#pick(this.#listeners);
    if (this.#clients.length >= MAX_CLIENTS || listener === undefined) return;
    const client = new this.#api.Socket();
    const isSlow = this.#chance(0.3);
    if (isSlow) client.setOption('SO_RCVBUF', SMALL_BUFFER);
    client.connect(listener.address);
    client.blocking = false;
    const isEcho = listener === this.#listeners[1];
    const conversation = new Conversation(++this.#lastId, client, isSlow, isEcho);
    const ports = portsOf(listener.address, client.localAddress);
    const waiting = this.#waiting.get(ports);
    if (waiting === undefined) this.#waiting.set(ports, [conversation]);
    else waiting.push(conversation);
    this.#clients.push(conversation);
    if (listener instanceof ManualListener) listener.accept();
  }

  /** Replaces a listener; its connections stay open. */
  #relisten(): void {
    const index = this.#below(this.#listeners.length);
    const waiting = [...this.#waiting.values()].flat().some(({ cut }) => !cut);
    if (waiting) return; // clients in the backlog would be reset
    this.#listeners[index]?.close();
    this.#listeners[index] = this.#listen(index);
  }

  #ask(conversation: Conversation): void {
    const { client } = conversation;
    if (client === undefined || conversation.clientFinished) return;
    const bytes = streamOf(conversation.question, conversation.asked, this.#size());
    this.#orCut(conversation, () => {
      conversation.asked += client.send(bytes) ?? 0;
    });
  }

  #listenTo(conversation: Conversation, index: number): void {
    const { client } = conversation;
    if (client === undefined || (conversation.isSlow && this.#chance(0.9))) return;
    let bytes: Buffer | null = null;
    const isGood = this.#orCut(conversation, () => {
      bytes = client.recv(this.#chance(0.5) ? 65_536 : 1 + this.#below(2000));
    });
    if (!isGood) return this.#leave(conversation, index, false);
    const received = bytes as Buffer | null;
    if (received === null) return;
    checkStream(`server → client ${conversation.id}`, conversation.answer, conversation.got, received);
    conversation.got += received.length;
    assert.ok(conversation.got <= conversation.said, 'no more than was written');
    if (received.length > 0) return;
    conversation.clientSawEnd = true;
    if (!conversation.cut)
      assert.equal(
        conversation.got,
        conversation.said,
        `client ${conversation.id}: bytes lost on the way to the client`,
      );
    if (conversation.clientFinished || this.#chance(0.5)) this.#leave(conversation, index, false);
  }

  #finishAsking(conversation: Conversation): void {
    if (conversation.clientFinished) return;
    conversation.clientFinished = true;
    this.#orCut(conversation, () => conversation.client?.shutdown('write'));
  }

  #leave(conversation: Conversation, index: number, byReset: boolean): void {
    const { client } = conversation;
    this.#clients[index] = this.#clients.at(-1) as Conversation;
    this.#clients.pop();
    // If data arrives after the close, the system replies with a reset, unless the client has read the end of the stream.
    if (!conversation.clientSawEnd || !conversation.clientFinished || byReset) conversation.cut = true;
    if (byReset) {
      this.tally.resets++;
      this.#orCut(conversation, () => client?.setOption('SO_LINGER', LINGER));
    }
    client?.close();
  }

  /** Runs `act`, in which an aborted connection may fail. @returns whether it succeeded */
  #orCut(conversation: Conversation, act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!['ECONNRESET', 'EPIPE', 'ENOTCONN', 'ECONNABORTED'].includes(code ?? '')) throw error;
      // The server closed while this client was sending: that is a reset, too.
      assert.ok(conversation.cut || conversation.serverEnded, `client ${conversation.id}: ${(error as Error).message}`);
      conversation.cut = true;
      return false;
    }
  }

  // -------------------------------------------------------------------------------------------------------------- turning

  #turn(): void {
    this.tally.turns++;
    this.#loop.runOnce(0);
    if (this.#unexpected.length > 0) throw this.#unexpected[0];
  }

  /** Half-closes every client and reads until the end of the stream; then no connection may be left. */
  #finish(): void {
    // The maximum time without progress, ms. The total time depends on the machine.
    const patience = 20_000;
    let deadline = performance.now() + patience;
    let progress = '';
    for (const conversation of this.#clients) this.#finishAsking(conversation);
    while (this.#clients.length > 0 || this.#open.size > 0) {
      const got = this.#clients.reduce((sum, conversation) => sum + conversation.got, 0);
      const now = [this.tally.bytesIn, this.tally.bytesOut, this.tally.closed, this.#clients.length, got].join();
      if (now !== progress) deadline = performance.now() + patience;
      progress = now;
      assert.ok(performance.now() < deadline, `left: ${this.#clients.length} clients, ${this.#open.size} connections`);
      for (let i = this.#clients.length - 1; i >= 0; i--) this.#listenTo(this.#clients[i] as Conversation, i);
      this.#loop.runOnce(1);
      if (this.#unexpected.length > 0) throw this.#unexpected[0];
    }
    const { tally } = this;
    assert.equal(tally.closed, tally.opened, '`close` once for each `open`');
    assert.equal(tally.throws, this.#expectedThrows, 'errors reported');
    for (const listener of this.#listeners) assert.equal(listener.connections, 0);
  }
}

/** Descriptors that are watched directly, and registered and unregistered all the time. */
class WatchedPairs {
  readonly #pairs: { readonly near: Socket; readonly far: Socket; waiting: number; watched: boolean }[] = [];
  readonly #loop: Reactor;
  readonly #random: () => number;

  constructor(socket: typeof Socket, loop: Reactor, random: () => number) {
    this.#loop = loop;
    this.#random = random;
    for (let i = 0; i < 8; i++) {
      const [near, far] = socket.pair({ blocking: false });
      this.#pairs.push({ near, far, waiting: 0, watched: false });
    }
  }

  operate(): void {
    const pair = this.#pairs[Math.floor(this.#random() * this.#pairs.length)];
    if (pair === undefined) return;
    const { near, far } = pair;
    if (this.#random() < 0.5) {
      pair.waiting += near.send('x') ?? 0;
    } else if (pair.watched) {
      pair.watched = false;
      assert.equal(this.#loop.removeReader(far), true);
    } else {
      pair.watched = true;
      this.#loop.addReader(far, () => {
        assert.ok(pair.watched, 'no callback after it was removed');
        const bytes = far.recv(100);
        assert.ok(bytes !== null && bytes.length > 0, 'no spurious readiness');
        pair.waiting -= bytes.length;
        assert.ok(pair.waiting >= 0);
        if (this.#random() < 0.3) {
          pair.watched = false;
          this.#loop.removeReader(far);
        }
      });
    }
  }

  close(): void {
    for (const { near, far, watched } of this.#pairs) {
      if (watched) this.#loop.removeReader(far);
      near.close();
      far.close();
    }
  }
}

/** @throws if the loop differs from the model */
export function torture(api: TortureApi, seed: number, operations: number): Tally {
  return new Torture(api, seed).run(operations);
}
