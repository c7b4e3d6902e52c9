import { EVENT_READ, Socket } from '../../index.js';
import { Backoff, isTransient } from '../../net/transient.js';
import { isSocketError } from '../worker/blocking.js';
import { sendConnection, isPeerClosed, readIdleToken, receiveConnection } from '../worker/hand-over.js';
import { type Model, REQUEST_APPLICATIONS } from './model.js';
import type { Server } from '../worker/server.js';
import type { WorkerProcess } from '../worker/workers.js';
import { SELECTOR_MECHANISMS } from './mechanisms.js';

/** Posts 002 and 003: the parent accepts and passes connections to idle children. A child reports over its channel when it is idle. */
export const processPool: Model = {
  name: 'process-pool',
  summary: 'the parent accepts and passes descriptors to a fixed number of processes (posts 002, 003)',
  strengths: 'processes are started once; the parent knows which are idle, and wakes none in vain',
  weaknesses:
    'passing a descriptor costs more than a lock around accept (Stevens); as many slow clients as workers block all',
  applications: REQUEST_APPLICATIONS,
  mechanisms: SELECTOR_MECHANISMS,
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
      pool.sendAccepted();
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

interface Child {
  readonly worker: WorkerProcess;
  /** The parent's end of the socket pair between the two. */
  readonly channel: Socket;
  /** It has reported that it is idle at least once. */
  isReady: boolean;
}

/** The `data` of the listener in the selector; that of a channel is its child. */
const LISTENER = null;

/** The pause before a child is started in place of one that has exited or could not be started, in milliseconds. */
const RESTART_DELAY_MS = 100;

/**
 * The parent's view of its children.
 *
 *   child   starting --idle token--> idle --a connection is sent--> serving --idle token--> idle
 *           any --its end of the channel closes--> exited --after RESTART_DELAY_MS--> another is started
 */
class Pool {
  readonly #server: Server;
  readonly #listener: Socket;
  readonly #selector;
  readonly #children = new Set<Child>();
  readonly #idle = new Set<Child>();
  /** No child is started before, as performance.now(). */
  #restartAt = 0;
  /** Accepted, and not sent to a child yet. */
  #unsent: Socket | null = null;
  readonly #sendBackoff = new Backoff();
  /** #unsent is not sent before, as performance.now(). */
  #sendAt = 0;

  constructor(server: Server, listener: Socket) {
    this.#server = server;
    this.#listener = listener;
    this.#selector = server.createSelector<Child | typeof LISTENER>();
  }

  /** All children are ready. */
  get isComplete(): boolean {
    return this.#isFull && [...this.#children].every(({ isReady }) => isReady);
  }

  get #isFull(): boolean {
    return this.#children.size === this.#server.settings.workers;
  }

  /** Starts the children that are missing. */
  fill(): void {
    if (performance.now() < this.#restartAt) return;
    while (this.#children.size < this.#server.settings.workers) {
      const child = this.#start();
      if (child === null) return void (this.#restartAt = performance.now() + RESTART_DELAY_MS);
      this.#children.add(child);
      this.#selector.register(child.channel, EVENT_READ, child);
    }
  }

  /** @returns null: the system has no resources for another process, or no descriptors for its channel */
  #start(): Child | null {
    try {
      const [channel, childEnd] = Socket.pair();
      const worker = this.#server.workers.startPooledProcess(childEnd);
      childEnd.close();
      if (worker !== null) return { worker, channel, isReady: false };
      channel.close();
    } catch (error) {
      if (!isSocketError(error)) throw error; // EMFILE, ENFILE
    }
    return null;
  }

  /**
   * BLOCKS until a child or the listener is readable, or something is due. The listener is watched only while a child is idle and no
   * connection waits to be sent; meanwhile, clients wait in the backlog.
   */
  wait(): readonly (Child | typeof LISTENER)[] {
    const isWatched = this.#selector.getMap().has(this.#listener);
    const isWanted = this.#idle.size > 0 && this.#unsent === null;
    if (isWanted && !isWatched) this.#selector.register(this.#listener, EVENT_READ, LISTENER);
    if (!isWanted && isWatched) this.#selector.unregister(this.#listener);
    const untilFull = this.#isFull ? Infinity : RESTART_DELAY_MS;
    const untilSent =
      this.#unsent !== null && this.#idle.size > 0 ? Math.max(0, this.#sendAt - performance.now()) : Infinity;
    const timeout = Math.min(untilFull, untilSent);
    return this.#server.select(this.#selector, timeout === Infinity ? null : timeout).map(([key]) => key.data);
  }

  /** Accepts a connection for an idle child. */
  acceptOne(): void {
    if (this.#idle.size === 0 || this.#unsent !== null) return; // the idle child has exited in this turn
    this.#unsent = this.#server.tryAccept(this.#listener);
    if (this.#unsent === null) this.#server.count.emptyWakeups++;
    else this.sendAccepted();
  }

  /**
   * Sends the connection that was accepted last to an idle child. It is kept for the next attempt if the child has exited, or if the system
   * cannot pass its descriptor now (ENOBUFS, ENOMEM; ETOOMANYREFS: too many descriptors are in flight, unix(7)).
   */
  sendAccepted(): void {
    const [child] = this.#idle;
    const connection = this.#unsent;
    if (child === undefined || connection === null || performance.now() < this.#sendAt) return;
    child.worker.row.assigned++;
    try {
      sendConnection(child.channel, connection, child.worker.pid);
      this.#unsent = null;
      this.#idle.delete(child);
      this.#sendBackoff.reset();
    } catch (error) {
      child.worker.row.assigned--;
      if (isPeerClosed(error)) return void this.#idle.delete(child); // onChildMessage() sees the end of its channel
      if (isTransient(error)) {
        if (!this.#sendBackoff.isUnderWay) this.#server.report(error);
        this.#sendAt = performance.now() + this.#sendBackoff.next();
        return;
      }
      this.#unsent = null;
      this.#server.report(error);
      this.#server.reject(connection);
    }
  }

  /** A child's channel is readable: the child is idle, or has exited and is replaced. */
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
    this.#restartAt = performance.now() + RESTART_DELAY_MS;
  }
}
