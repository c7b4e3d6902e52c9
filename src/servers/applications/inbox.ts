/**
 * The messages of one peer, a limited number per turn: thousands of requests in one chunk, or some slow ones, do not block other peers
 * and signals.
 *
 *   reading --the quota of a turn is used up--> waiting: the peer is paused --a later turn--> reading
 *   reading --a message over the limit--> refused: input is dropped --too much of it--> destroyed
 *   any --close()--> closed
 */
import type { Peer } from './application.js';
import { type MessageReader, DiscardedInput } from './framing.js';

const NOTHING = Buffer.alloc(0);

/** The inboxes of one application that wait for a later turn. */
export class PendingInboxes {
  readonly #inboxes = new Set<Pick<Inbox<unknown>, 'close'>>();

  add(inbox: Pick<Inbox<unknown>, 'close'>): void {
    this.#inboxes.add(inbox);
  }

  delete(inbox: Pick<Inbox<unknown>, 'close'>): void {
    this.#inboxes.delete(inbox);
  }

  /** Closes them: drops their unread messages. */
  close(): void {
    for (const inbox of this.#inboxes) inbox.close();
  }
}

export class Inbox<M> {
  #isWaiting = false;
  #isClosed = false;
  /** null: no message was over the limit. */
  #discarded: DiscardedInput | null = null;

  /** @param onRefused called before the peer is ended because of a message over the limit */
  constructor(
    private readonly peer: Peer,
    private readonly reader: MessageReader<M>,
    private readonly pending: PendingInboxes,
    private readonly onMessage: (message: M) => void,
    private readonly onRefused: () => void = () => undefined,
  ) {}

  receive(chunk: Buffer): void {
    if (this.#discarded !== null) {
      if (!this.#discarded.discard(chunk)) this.peer.destroy();
    } else if (!this.#isClosed) {
      this.#read(chunk);
    }
  }

  /** Drops unread and later messages. A second call does nothing. */
  close(): void {
    this.#isClosed = true;
    this.#stopWaiting();
  }

  #read(chunk: Buffer): void {
    const isWithinLimit = this.reader.read(chunk, this.onMessage);
    if (isWithinLimit && this.reader.hasMore) return this.#wait();
    this.#stopWaiting();
    if (isWithinLimit) return;
    this.#discarded = new DiscardedInput();
    this.onRefused();
    this.peer.end(); // after the replies to earlier requests
  }

  #wait(): void {
    const { loop } = this.peer;
    if (loop === undefined) return this.#read(NOTHING);
    if (!this.#isWaiting) {
      this.#isWaiting = true;
      this.pending.add(this);
      this.peer.pause();
    }
    loop.callSoon(() => {
      if (this.#isWaiting) this.#read(NOTHING);
    });
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.pending.delete(this);
    this.peer.resume();
  }
}
