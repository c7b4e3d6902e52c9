/** Many sockets, and a selector over each mechanism that watches all of them: for scaling. */
import { type BaseSelector, EVENT_READ, Socket, createSelector } from '../../index.js';
import { mechanismsHere } from '../../servers/models/mechanisms.js';

/** How a mechanism refuses one more descriptor. */
export interface Refusal {
  readonly mechanism: string;
  /** How many it had. */
  readonly registered: number;
  /** The number of the descriptor that it refused. */
  readonly descriptor: number;
  readonly code: string;
  readonly message: string;
}

/** Connected sockets, of which one is ready to be read. */
export class Sockets implements Disposable {
  readonly all: Socket[] = [];
  #isOneReady = false;

  /** @returns false: the system gives no more of them */
  grow(count: number): boolean {
    try {
      while (this.all.length < count) this.all.push(...Socket.pair());
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOBUFS') return false;
      throw error;
    }
    if (!this.#isOneReady) this.all[0]?.send('x'); // to the second one
    this.#isOneReady = true;
    return true;
  }

  [Symbol.dispose](): void {
    for (const socket of this.all.splice(0)) socket.close();
  }
}

export interface Watcher {
  readonly selector: BaseSelector;
  registered: number;
}

/** A selector over each mechanism, all with the same sockets, as far as they take them. */
export class Watchers implements Disposable {
  readonly refusals: Refusal[] = [];
  readonly all: readonly Watcher[] = mechanismsHere
    .filter(({ kind, available }) => kind === 'readiness' && available)
    .map(({ mechanism }) => ({ selector: createSelector(mechanism), registered: 0 }));

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
