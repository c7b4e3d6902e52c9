import { EVENT_READ, Socket } from '../../index.js';
import { Backoff, isTransient } from '../../net/transient.js';
import { isSocketError } from '../worker/blocking.js';
import { sendConnection, isGone, readIdleToken, receiveConnection } from '../worker/hand-over.js';
import { type Model, REQUESTS } from './model.js';
import type { Server } from '../worker/server.js';
import type { WorkerProcess } from '../worker/workers.js';
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
    const listener = server.bind().listen();
    listener.blocking = false;
    const pool = new Pool(server, listener);
    for (let isAnnounced = false; ;) {
      if (!isAnnounced && pool.isComplete) {
        server.announce(listener);
        isAnnounced = true;
      }
      pool.fill();
      for (const child of pool.wait()) {
        if (child === LISTENER) pool.acceptOne();
        else pool.onChildMessage(child);
      }
      pool.handOn();
    }
  },

  work(server) {
    const channel = server.inherited;
    channel.blocking = true;
    for (
      let connection = receiveConnection(server, channel);
      connection !== null;
      connection = receiveConnection(server, channel)
    ) {
      server.serve(connection);
    }
  },
};

/** A child, and the parent's end of the way to it. */
interface Child {
  readonly worker: WorkerProcess;
  readonly channel: Socket;
  /** It has been idle: it serves. */
  isReady: boolean;
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
  /** Accepted, and not handed over yet. */
  #unsent: Socket | null = null;
  readonly #sending = new Backoff();
  #sendAt = 0;

  constructor(server: Server, listener: Socket) {
    this.#server = server;
    this.#listener = listener;
    this.#selector = server.createSelector<Child | typeof LISTENER>();
  }

  /** All children serve. */
  get isComplete(): boolean {
    return this.#isFull && [...this.#children].every(({ isReady }) => isReady);
  }

  get #isFull(): boolean {
    return this.#children.size === this.#server.settings.workers;
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
      if (worker !== null) return { worker, channel, isReady: false };
      channel.close();
    } catch (error) {
      if (!isSocketError(error)) throw error; // EMFILE, ENFILE
    }
    return null;
  }

  /** BLOCKS. While no child is idle, or a connection waits for one, the listener is not watched: clients wait in the backlog. */
  wait(): readonly (Child | typeof LISTENER)[] {
    const isWatched = this.#selector.getMap().has(this.#listener);
    const isWanted = this.#idle.size > 0 && this.#unsent === null;
    if (isWanted && !isWatched) this.#selector.register(this.#listener, EVENT_READ, LISTENER);
    if (!isWanted && isWatched) this.#selector.unregister(this.#listener);
    const untilFull = this.#isFull ? Infinity : TRY_AGAIN;
    const untilSent =
      this.#unsent !== null && this.#idle.size > 0 ? Math.max(0, this.#sendAt - performance.now()) : Infinity;
    const timeout = Math.min(untilFull, untilSent);
    return this.#server.select(this.#selector, timeout === Infinity ? null : timeout).map(([key]) => key.data);
  }

  /** A client waits to be accepted: for an idle child. */
  acceptOne(): void {
    if (this.#idle.size === 0 || this.#unsent !== null) return; // it has died this moment
    this.#unsent = this.#server.tryAccept(this.#listener);
    if (this.#unsent === null) this.#server.count.emptyWakeups++;
    else this.handOn();
  }

  /**
   * Gives the connection that was accepted last to an idle child. It is kept where the system has no room for its descriptor now (ENOBUFS,
   * ENOMEM; ETOOMANYREFS: too many are on their way), and where the child has died, for the next attempt.
   */
  handOn(): void {
    const [child] = this.#idle;
    const connection = this.#unsent;
    if (child === undefined || connection === null || performance.now() < this.#sendAt) return;
    child.worker.row.handed++;
    try {
      sendConnection(child.channel, connection, child.worker.pid);
      this.#unsent = null;
      this.#idle.delete(child);
      this.#sending.reset();
    } catch (error) {
      child.worker.row.handed--;
      if (isGone(error)) return void this.#idle.delete(child); // its channel tells so, and another child takes its place
      if (isTransient(error)) {
        if (!this.#sending.isUnderWay) this.#server.report(error);
        this.#sendAt = performance.now() + this.#sending.next();
        return;
      }
      this.#unsent = null;
      this.#server.report(error);
      this.#server.reject(connection);
    }
  }

  /** A child is idle again; or it has died, and another takes its place. */
  onChildMessage(child: Child): void {
    if (readIdleToken(child.channel)) {
      child.isReady = true;
      return void this.#idle.add(child);
    }
    this.#selector.unregister(child.channel);
    this.#children.delete(child);
    this.#idle.delete(child);
    child.channel.close();
    child.worker.release();
    this.#nextTry = performance.now() + TRY_AGAIN;
  }
}
