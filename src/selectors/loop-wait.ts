/** How an event loop waits for what its selector watches: a turn at a time, or inside Node's own loop. */
import { busyError } from '../errors.js';
import type { FileObject } from '../syscalls/file-object.js';
import { Multiplexer } from '../syscalls/multiplexer.js';
import { ReceiveBatch } from '../syscalls/turn.js';
import { Attachment } from '../wait/attachment.js';
import type { WatchSet } from './watch-set.js';

/** What a turn found ready, event by event. */
export interface TurnResult<D> {
  /** The `data` of the events' keys; undefined for a stale event and for the wake channel. */
  readonly owners: (D | undefined)[];
  /** Number of events. */
  count: number;
  /** wakeup() was called. */
  woken: boolean;
}

export class LoopWait<D, F extends FileObject> {
  readonly #watchSet: WatchSet<D, F>;
  readonly #onWakeup: () => void;
  #attachment: Attachment | undefined;
  #wokenElsewhere = false;

  /** @param onWakeup called when a turn consumes a wake-up that may be meant for a pending selectAsync() */
  constructor(watchSet: WatchSet<D, F>, onWakeup: () => void) {
    this.#watchSet = watchSet;
    this.#onWakeup = onWakeup;
  }

  /** The loop's receive buffers, with a multiplexer of its own. */
  receiveBatch(): ReceiveBatch<D> {
    return new ReceiveBatch<D>(new Multiplexer(this.#watchSet.mechanism));
  }

  /**
   * Waits once, and receives from the ready connections that `batch` knows: one call of the addon (native/turn/turn.cc).
   * @param timeout milliseconds; -1: until something is ready
   * @throws ERR_CLOSED; the system call's errors
   */
  turn(batch: ReceiveBatch<D>, timeout: number, found: TurnResult<D>): void {
    const watchSet = this.#watchSet;
    watchSet.assertOpen();
    const wasWoken = this.#wokenElsewhere;
    this.#wokenElsewhere = false;
    const { registrations, wakeChannel } = watchSet;
    const { multiplexer } = batch;
    watchSet.prepare(multiplexer);
    const waited = batch.wait(wasWoken ? 0 : timeout, watchSet.rotates);
    const count = waited < 0 ? watchSet.afterRefusal(multiplexer, waited) : waited;
    if (waited < 0) multiplexer.markNotReceived(count);
    let woken = false;
    let stale = 0;
    for (let i = 0; i < count; i++) {
      // Where something was received, C++ has compared the generation already.
      let owner = batch.receiver(i);
      if (owner === undefined) {
        const fd = multiplexer.fd(i);
        const generation = multiplexer.generation(i);
        const registration = registrations.get(fd);
        const isCurrent = registration !== undefined && (generation === 0 || generation === registration.generation);
        // Without data the key itself: undefined means stale.
        if (isCurrent) owner = registration.key.data ?? (registration.key as D);
        else if (fd === wakeChannel.fd && generation === 0) woken = true;
        else stale++;
      }
      found.owners[i] = owner;
    }
    found.count = count;
    found.woken = woken || wasWoken;
    if (woken) {
      wakeChannel.drain();
      this.#onWakeup();
    }
    if (stale > 0) watchSet.onStale?.(count > stale);
  }

  /**
   * Calls `onReady` in each turn of Node's loop in which something is ready, until the attachment is closed.
   * @throws ERR_CLOSED; ERR_BUSY if there is an attachment already
   */
  attach(onReady: () => void): Attachment {
    const watchSet = this.#watchSet;
    watchSet.assertOpen();
    if (this.#attachment?.closed === false) throw busyError('selector');
    this.#attachment = new Attachment(
      () => watchSet.interest(),
      () => watchSet.fd,
      onReady,
    );
    return this.#attachment;
  }

  /** Another wait has consumed a wake-up that may be meant for the loop: the next turn does not wait. */
  wake(): void {
    this.#wokenElsewhere = true;
    this.#attachment?.wake();
  }

  interestChanged(): void {
    this.#attachment?.interestChanged();
  }

  close(): void {
    this.#attachment?.close();
  }
}
