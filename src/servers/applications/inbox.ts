/**
 * What a peer sends, as messages, a share of them a turn: thousands of requests that came in one chunk, or a few that take long, do not keep
 * the other peers, and the signals, waiting.
 *
 *   reading --a share is done, and more is left--> waiting: the peer is paused --a later turn--> reading
 *   reading --a message over the limit--> refused --it goes on for too long--> destroyed
 *   any --close()--> closed
 */
import type { Peer } from './application.js';
import { type MessageReader, Refused } from './framing.js';

const NOTHING = Buffer.alloc(0);

/** All inboxes of one application that wait for a later turn. */
export class Waiting {
  readonly #inboxes = new Set<Pick<Inbox<unknown>, 'close'>>();

  add(inbox: Pick<Inbox<unknown>, 'close'>): void {
    this.#inboxes.add(inbox);
  }

  delete(inbox: Pick<Inbox<unknown>, 'close'>): void {
    this.#inboxes.delete(inbox);
  }

  /** Drops what they have not handled. */
  close(): void {
    for (const inbox of this.#inboxes) inbox.close();
  }
}

export class Inbox<M> {
  #isWaiting = false;
  #isClosed = false;
  #refused: Refused | null = null;

  /** @param onRefused called before the peer is ended for what makes no sense */
  constructor(
    private readonly peer: Peer,
    private readonly reader: MessageReader<M>,
    private readonly waiting: Waiting,
    private readonly onMessage: (message: M) => void,
    private readonly onRefused: () => void = () => undefined,
  ) {}

  receive(chunk: Buffer): void {
    if (this.#refused !== null) {
      if (!this.#refused.ignore(chunk)) this.peer.destroy();
    } else if (!this.#isClosed) {
      this.#read(chunk);
    }
  }

  /** Nothing is handled from now on. The second time nothing happens. */
  close(): void {
    this.#isClosed = true;
    this.#goOn();
  }

  #read(chunk: Buffer): void {
    const makesSense = this.reader.read(chunk, this.onMessage);
    if (makesSense && this.reader.hasMore) return this.#wait();
    this.#goOn();
    if (makesSense) return;
    this.#refused = new Refused();
    this.onRefused();
    this.peer.end(); // earlier requests still get their answers
  }

  #wait(): void {
    const { loop } = this.peer;
    if (loop === undefined) return this.#read(NOTHING);
    if (!this.#isWaiting) {
      this.#isWaiting = true;
      this.waiting.add(this);
      this.peer.pause();
    }
    loop.callSoon(() => {
      if (this.#isWaiting) this.#read(NOTHING);
    });
  }

  #goOn(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.waiting.delete(this);
    this.peer.resume();
  }
}
