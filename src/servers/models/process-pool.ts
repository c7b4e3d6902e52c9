import { EVENT_READ, Socket } from '../../index.js';
import { closeQuietly, isOfConnection } from '../blocking.js';
import { handOver, saysIdle, takeOver } from '../hand-over.js';
import { type Model, REQUESTS } from '../model.js';
import type { Server } from '../server.js';
import type { WorkerProcess } from '../workers.js';
import { READINESS } from './mechanisms.js';

/** Posts 002 and 003: the parent accepts, and hands connections to children that have none. A child says when it is idle again. */
export const processPool: Model = {
  name: 'process-pool',
  summary: 'the parent accepts and passes descriptors to a fixed number of processes (posts 002, 003)',
  strengths: 'processes are started once; the parent knows who is idle, and nobody is woken in vain',
  weaknesses:
    'to pass a descriptor costs more than a lock around accept (Stevens); as many slow clients as workers hold up all',
  applications: REQUESTS,
  mechanisms: READINESS,
  workers: 'processes',
  options: ['workers'],
  maxConnections: 1000,

  main(server) {
    const listener = server.listen();
    listener.blocking = false;
    const pool = new Pool(server, listener);
    for (;;) {
      pool.fill();
      for (const child of pool.wait()) {
        if (child === LISTENER) pool.acceptOne();
        else pool.hear(child);
      }
    }
  },

  work(server) {
    const channel = server.inherited;
    channel.blocking = true;
    for (let connection = takeOver(channel); connection !== null; connection = takeOver(channel)) {
      server.serve(connection);
    }
  },
};

/** A child, and the parent's end of the way to it. */
interface Child {
  readonly worker: WorkerProcess;
  readonly channel: Socket;
}

const LISTENER = null;

/** Where a child has died, or was not started, another is tried after so many milliseconds. */
const TRY_AGAIN = 100;

/** The parent's view of its children. */
class Pool {
  readonly #server: Server;
  readonly #listener: Socket;
  readonly #selector;
  readonly #children = new Set<Child>();
  readonly #idle = new Set<Child>();
  #nextTry = 0;

  constructor(server: Server, listener: Socket) {
    this.#server = server;
    this.#listener = listener;
    this.#selector = server.createSelector<Child | typeof LISTENER>();
  }

  /** Starts the children that there should be. */
  fill(): void {
    if (performance.now() < this.#nextTry) return;
    while (this.#children.size < this.#server.settings.workers) {
      const child = this.#start();
      if (child === null) return void (this.#nextTry = performance.now() + TRY_AGAIN);
      this.#children.add(child);
      this.#selector.register(child.channel, EVENT_READ, child);
    }
  }

  /** @returns null: the system has no room for another process, or no descriptors for the way to it */
  #start(): Child | null {
    try {
      const [channel, theirs] = Socket.pair();
      const worker = this.#server.workers.startPooledProcess(theirs);
      theirs.close();
      if (worker !== null) return { worker, channel };
      channel.close();
    } catch (error) {
      if (!isOfConnection(error)) throw error; // EMFILE, ENFILE
    }
    return null;
  }

  /** BLOCKS. While no child is idle, the listener is not watched: clients wait in the backlog. */
  wait(): readonly (Child | typeof LISTENER)[] {
    const isWatched = this.#selector.getMap().has(this.#listener);
    if (this.#idle.size > 0 && !isWatched) this.#selector.register(this.#listener, EVENT_READ, LISTENER);
    if (this.#idle.size === 0 && isWatched) this.#selector.unregister(this.#listener);
    const isFull = this.#children.size === this.#server.settings.workers;
    return this.#server.select(this.#selector, isFull ? null : TRY_AGAIN).map(([key]) => key.data);
  }

  /** Somebody waits to be accepted: for an idle child. */
  acceptOne(): void {
    const [child] = this.#idle;
    if (child === undefined) return; // it has died this moment
    const connection = this.#server.tryAccept(this.#listener);
    if (connection === null) {
      this.#server.count.emptyWakeups++;
      return;
    }
    this.#idle.delete(child);
    child.worker.row.handed++;
    try {
      handOver(child.channel, connection, child.worker.pid);
    } catch (error) {
      if (!isOfConnection(error)) throw error;
      closeQuietly(connection); // the child has died, and this is lost with what else it had
    }
  }

  /** A child is idle again; or it has died, and another takes its place. */
  hear(child: Child): void {
    if (saysIdle(child.channel)) return void this.#idle.add(child);
    this.#selector.unregister(child.channel);
    this.#children.delete(child);
    this.#idle.delete(child);
    child.channel.close();
    child.worker.release();
    this.#nextTry = performance.now() + TRY_AGAIN;
  }
}
