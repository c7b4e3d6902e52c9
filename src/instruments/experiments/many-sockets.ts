/** Many sockets, and one selector per mechanism that watches them all: used by scaling. */
import { type BaseSelector, EVENT_READ, Socket, createSelector } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';

/** The error with which a mechanism refuses another descriptor. */
export interface Refusal {
  readonly mechanism: string;
  /** Descriptors that it had registered. */
  readonly registered: number;
  /** The number of the descriptor that it refused. */
  readonly descriptor: number;
  readonly code: string;
  readonly message: string;
}

/** Connected sockets, one of which is readable. */
export class Sockets implements Disposable {
  readonly all: Socket[] = [];
  #hasReadable = false;

  /** Creates sockets until there are `count`. @returns false: the system has no more descriptors or memory */
  grow(count: number): boolean {
    try {
      while (this.all.length < count) this.all.push(...Socket.pair());
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOBUFS') return false;
      throw error;
    }
    if (!this.#hasReadable) this.all[0]?.send('x'); // makes the second socket readable
    this.#hasReadable = true;
    return true;
  }

  [Symbol.dispose](): void {
    for (const socket of this.all.splice(0)) socket.close();
  }
}

/** A selector and the number of sockets registered with it. */
export interface Watcher {
  readonly selector: BaseSelector;
  registered: number;
}

/** One selector per mechanism, all with the same sockets, up to the limit of each. */
export class Watchers implements Disposable {
  readonly refusals: Refusal[] = [];
  readonly all: readonly Watcher[] = mechanismsHere
    .filter(({ kind, available }) => kind === 'readiness' && available)
    .map(({ mechanism }) => ({ selector: createSelector(mechanism), registered: 0 }));

  /** Registers the sockets that are not registered yet. A selector that refuses one gets no more. */
  register(sockets: readonly Socket[]): void {
    for (const watcher of this.all) {
      const { selector } = watcher;
      if (this.refusals.some(({ mechanism }) => mechanism === selector.mechanism)) continue;
      try {
        for (const socket of sockets.slice(watcher.registered)) {
          selector.register(socket, EVENT_READ);
          watcher.registered++;
        }
      } catch (error) {
        this.refusals.push(refusalOf(watcher, sockets, error as NodeJS.ErrnoException));
      }
    }
  }

  [Symbol.dispose](): void {
    for (const { selector } of this.all) selector.close();
  }
}

function refusalOf(
  { selector: { mechanism }, registered }: Watcher,
  sockets: readonly Socket[],
  { code = '', message }: NodeJS.ErrnoException,
): Refusal {
  return { mechanism, registered, descriptor: sockets[registered]?.fd ?? -1, code, message };
}
