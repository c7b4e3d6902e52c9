/**
 * Thousands of operations that complete, are cancelled, are dropped, or are ended by the close of their socket or their proactor, at
 * random. Each must have one outcome, and no byte may be lost: what was received and what is left in the sockets is what was sent.
 *
 * The simulated caller drops an operation when it keeps no reference to it. wait() still returns it. Only if the
 * proactor is closed first, its outcome remains unknown, and the connection's bytes can no longer be counted.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BaseProactor, type Operation, Socket } from '../../src/index.js';
import { Bench } from './bench.js';
import { pattern } from './completion.js';
import { gc } from './gc.js';
import { Random } from './random.js';

const PAIRS = 8;
const MAX_PENDING = 64;
const MAX_IN_BACKLOG = 50;
const FILE_SIZE = 10_000;

export interface Lives {
  operations: number;
  succeeded: number;
  canceled: number;
  failed: number;
  abandoned: number;
  closedSockets: number;
  closedProactors: number;
  bytes: number;
  accepted: number;
}

/** One end of a connection, and its byte counts. */
class End {
  sent = 0;
  received = 0;
  receiving = false;
  sending = false;
  /** false if the outcome of an operation on it is unknown. */
  isKnown = true;
  constructor(readonly socket: Socket) {}
}

interface Life {
  readonly kind: Operation['kind'];
  readonly number: number;
  /** Called once, with the completed operation; undefined if its outcome is unknown. */
  readonly over: (operation: Operation | undefined) => void;
  /** The caller's reference to the operation. */
  held: Operation | undefined;
}

/** @param create makes a proactor; called again after each close */
export async function liveAndDie(create: () => BaseProactor, seed: number, operations: number): Promise<Lives> {
  using bench = new Bench();
  const lives = new Player(create, bench, new Random(seed));
  while (lives.tally.operations < operations) {
    lives.step();
    if (lives.tally.operations % 500 === 0) await new Promise(setImmediate);
  }
  lives.end();
  return lives.tally;
}

class Player {
  readonly tally: Lives = {
    ...{ operations: 0, succeeded: 0, canceled: 0, failed: 0, abandoned: 0 },
    ...{ closedSockets: 0, closedProactors: 0, bytes: 0, accepted: 0 },
  };
  readonly #create: () => BaseProactor;
  readonly #bench: Bench;
  readonly #random: Random;
  readonly #lives = new Map<number, Life>();
  readonly #listeners: readonly Socket[];
  readonly #file: number;
  readonly #contents = pattern(FILE_SIZE);
  #proactor: BaseProactor;
  #pairs: [End, End][];
  #connects = { started: 0, succeeded: 0, unknown: 0 };

  constructor(create: () => BaseProactor, bench: Bench, random: Random) {
    this.#create = create;
    this.#bench = bench;
    this.#random = random;
    this.#proactor = create();
    this.#pairs = Array.from({ length: PAIRS }, () => this.#newPair());
    this.#listeners = [bench.listener({ blocking: true }), bench.listener({ blocking: false })];
    const path = join(bench.folder(), 'read');
    writeFileSync(path, this.#contents);
    this.#file = openSync(path, 'r');
    bench.atEnd(() => {
      closeSync(this.#file);
    });
  }

  step(): void {
    const dice = this.#random.below(1000);
    if (this.#lives.size >= MAX_PENDING || dice < 150) this.#collect(0);
    else if (dice < 280) this.#cancelOne();
    else if (dice < 300) this.#closeSockets(this.#random.below(PAIRS));
    else if (dice < 310) this.#closeProactor();
    else if (dice < 312) gc();
    else this.#submit();
  }

  /** Cancels the pending operations, and checks the counts. */
  end(): void {
    for (let i = 0; i < PAIRS; i++) this.#closeSockets(i, false);
    for (const { held } of this.#lives.values()) held?.cancel();
    this.#emptyBacklogs();
    for (const listener of this.#listeners) listener.close();
    // Dropped timeouts cannot be cancelled: only closing the proactor ends them.
    const others = () => [...this.#lives.values()].filter(({ kind }) => kind !== 'timeout').map(({ kind }) => kind);
    while (others().length > 0) assert.ok(this.#collect(10_000) > 0, `never completed: ${others().join(', ')}`);
    assert.equal(this.#proactor.pending, this.#lives.size);
    this.#proactor.close();
    for (const life of [...this.#lives.values()]) this.#over(life, life.held);
  }

  // -------------------------------------------------------------------------------------------------------- operations

  #submit(): void {
    const random = this.#random;
    const [one, other] = random.of(this.#pairs);
    const end = random.chance(0.5) ? one : other;
    const choices = [
      () => this.#receive(end),
      () => this.#receive(end),
      () => this.#send(end),
      () => this.#send(end),
      () => this.#accept(random.of(this.#listeners)),
      () => this.#connect(random.of(this.#listeners)),
      () => this.#read(),
      () => this.#timeout(),
    ];
    random.of(choices)();
  }

  /** @param start starts the operation @param over receives its outcome */
  #begin<T>(start: (data: number) => Operation<T, number>, over: (operation: Operation<T> | undefined) => void): void {
    const number = ++this.tally.operations;
    const operation = start(number);
    const isHeld = this.#random.chance(0.6);
    if (!isHeld) this.tally.abandoned++;
    const life: Life = {
      kind: operation.kind,
      number,
      over: over as Life['over'],
      held: isHeld ? operation : undefined,
    };
    this.#lives.set(number, life);
  }

  #receive(end: End): void {
    if (end.receiving) return;
    end.receiving = true;
    const size = this.#random.of([0, 1, 100, 5000, 100_000]);
    const over = (operation: Operation<Buffer | number> | undefined, into?: Buffer): void => {
      end.receiving = false;
      if (operation === undefined) end.isKnown = false;
      if (operation?.result === undefined) return;
      const bytes = into === undefined ? (operation.result as Buffer) : into.subarray(0, operation.result as number);
      assert.ok(bytes.length <= size);
      assert.ok(bytes.equals(pattern(bytes.length, end.received)), 'the next bytes of the stream');
      end.received += bytes.length;
      this.tally.bytes += bytes.length;
    };
    if (this.#random.chance(0.5)) return this.#begin((data) => this.#proactor.recv(end.socket, size, data), over);
    const memory = Buffer.alloc(size);
    this.#begin(
      (data) => this.#proactor.recvInto(end.socket, memory, data),
      (operation) => {
        over(operation, memory);
      },
    );
  }

  #send(end: End): void {
    if (end.sending) return;
    end.sending = true;
    const bytes = pattern(this.#random.of([0, 1, 100, 5000, 300_000]), end.sent);
    this.#begin(
      (data) => this.#proactor.send(end.socket, bytes, data),
      (operation) => {
        end.sending = false;
        if (operation === undefined) end.isKnown = false;
        end.sent += operation?.result ?? 0;
      },
    );
    bytes.fill(255); // send() has copied the bytes
  }

  #accept(listener: Socket): void {
    this.#begin(
      (data) => this.#proactor.accept(listener, data),
      (operation) => {
        if (operation === undefined) this.#connects.unknown++;
        if (operation?.result === undefined) return;
        this.tally.accepted++;
        operation.result.close();
      },
    );
  }

  #connect(listener: Socket): void {
    if (this.#connects.succeeded - this.tally.accepted > MAX_IN_BACKLOG) this.#emptyBacklogs();
    const socket = new Socket({ blocking: this.#random.chance(0.5) });
    this.#connects.started++;
    this.#begin(
      (data) => this.#proactor.connect(socket, listener.localAddress, data),
      (operation) => {
        if (operation === undefined) this.#connects.unknown++;
        else if (operation.error === undefined) this.#connects.succeeded++;
        socket.close();
      },
    );
  }

  #read(): void {
    const [position, size] = [this.#random.below(FILE_SIZE + 100), this.#random.below(2000)];
    this.#begin(
      (data) => this.#proactor.read(this.#file, size, position, data),
      (operation) => {
        const expected = this.#contents.subarray(position, position + size);
        if (operation?.result !== undefined) assert.ok(operation.result.equals(expected));
      },
    );
  }

  #timeout(): void {
    const ms = this.#random.of([0, 1, 10, 1e9]);
    const start = performance.now();
    this.#begin(
      (data) => this.#proactor.timeout(ms, data),
      (operation) => {
        const succeeded = operation !== undefined && operation.error === undefined;
        if (succeeded) assert.ok(performance.now() - start >= ms, 'the timeout does not expire early');
      },
    );
  }

  // --------------------------------------------------------------------------------------------------------- outcomes

  #collect(timeout: number): number {
    const returned = this.#proactor.wait(timeout);
    for (const operation of returned) this.#over(this.#lifeOf(operation), operation);
    return returned.length;
  }

  #lifeOf(operation: Operation): Life {
    const life = this.#lives.get(operation.data as number);
    assert.ok(life !== undefined, `${operation.kind} was returned twice`);
    assert.equal(operation.kind, life.kind);
    if (life.held !== undefined) assert.equal(operation, life.held);
    return life;
  }

  #over(life: Life, operation: Operation | undefined): void {
    assert.ok(this.#lives.delete(life.number));
    if (operation !== undefined) this.#count(operation);
    life.over(operation);
  }

  #count({ kind, pending, error, result }: Operation): void {
    assert.equal(pending, false);
    if (kind !== 'connect' && kind !== 'timeout') assert.ok((error === undefined) !== (result === undefined));
    if (error === undefined) this.tally.succeeded++;
    else if (error.code === 'ECANCELED') this.tally.canceled++;
    else this.tally.failed++;
  }

  #cancelOne(): void {
    const held = [...this.#lives.values()].flatMap((life) => (life.held === undefined ? [] : [life]));
    if (held.length === 0) return;
    const life = this.#random.of(held);
    life.held?.cancel();
    // Now and then the caller drops its reference.
    if (this.#random.chance(0.3)) life.held = undefined;
  }

  // ---------------------------------------------------------------------------------------------------------- closing

  #newPair(): [End, End] {
    const options = { blocking: this.#random.chance(0.5) };
    const [a, b] = Socket.pair(options);
    return [new End(this.#bench.own(a)), new End(this.#bench.own(b))];
  }

  /** Closes both ends during their pending operations, and counts the bytes left in them through duplicates. */
  #closeSockets(index: number, replace = true): void {
    const ends = this.#pairs[index] as [End, End];
    const copies = ends.map(({ socket }) => socket.dup());
    for (const { socket } of this.#random.chance(0.5) ? ends : [...ends].reverse()) socket.close();
    const isOver = () => ends.every(({ receiving, sending }) => !receiving && !sending);
    while (!isOver()) assert.ok(this.#collect(10_000) > 0, 'the operations of a closed socket end');
    ends.forEach((end, side) => {
      this.#countLeft(end, ends[1 - side] as End, copies[side] as Socket);
    });
    for (const copy of copies) copy.close();
    this.tally.closedSockets++;
    if (replace) this.#pairs[index] = this.#newPair();
  }

  #countLeft(end: End, peer: End, socket: Socket): void {
    socket.timeout = 2000;
    const isExact = end.isKnown && peer.isKnown;
    if (!isExact) return;
    while (end.received < peer.sent) {
      const bytes = socket.recv(65_536) as Buffer;
      assert.ok(bytes.length > 0 && bytes.equals(pattern(bytes.length, end.received)), 'the bytes left in the socket');
      end.received += bytes.length;
      this.tally.bytes += bytes.length;
    }
    socket.blocking = false;
    assert.equal(socket.recv(1), null, 'no more bytes than were sent');
  }

  #closeProactor(): void {
    this.#proactor.close();
    for (const life of [...this.#lives.values()]) {
      assert.notEqual(life.held?.pending, true, `${life.kind} is pending after the close`);
      this.#over(life, life.held);
    }
    this.tally.closedProactors++;
    this.#proactor = this.#create();
    this.#pairs.forEach(([a, b], index) => {
      if (!a.isKnown || !b.isKnown) this.#closeSockets(index);
    });
  }

  /** Accepts the clients that wait in the backlogs: none may be lost. */
  #emptyBacklogs(): void {
    for (const listener of this.#listeners) {
      const { blocking } = listener;
      listener.blocking = false;
      for (let client = listener.accept(); client !== null; client = listener.accept()) {
        this.tally.accepted++;
        client.close();
      }
      listener.blocking = blocking;
    }
    const { started, succeeded, unknown } = this.#connects;
    const underWay = [...this.#lives.values()].filter(({ kind }) => kind === 'accept' || kind === 'connect').length;
    assert.ok(this.tally.accepted >= succeeded - unknown - underWay, 'no client is lost');
    assert.ok(this.tally.accepted <= started, 'no client is accepted twice');
  }
}
