/** Callbacks that run before a socket is closed: operations under way on it are cancelled while its descriptor is still its own. */
const hooks = new WeakMap<object, Set<() => void>>();

/**
 * Calls `callback` when the socket is about to be closed.
 * @returns removes the callback
 */
export function beforeClose(socket: object, callback: () => void): () => void {
  let callbacks = hooks.get(socket);
  if (callbacks === undefined) hooks.set(socket, (callbacks = new Set()));
  callbacks.add(callback);
  return () => void callbacks.delete(callback);
}

/** Is an operation of a proactor under way on the socket? */
export function hasOperations(socket: object): boolean {
  return (hooks.get(socket)?.size ?? 0) > 0;
}

/** For close(). */
export function runCloseHooks(socket: object): void {
  for (const callback of hooks.get(socket) ?? []) callback();
}
