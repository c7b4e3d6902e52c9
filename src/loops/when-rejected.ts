/**
 * Handlers and callbacks that are async. TypeScript lets an async function stand for one that returns nothing; a rejection of it must not
 * end the process as an unhandled one.
 */

/**
 * Calls back when the promise that a handler has returned is rejected, whichever realm or library made it (anything with a `then`).
 * @param result what the handler has returned; nothing happens for other values
 */
export function whenRejected(result: unknown, onRejected: (error: unknown) => void): void {
  if (result === null || (typeof result !== 'object' && typeof result !== 'function')) return;
  try {
    const { then } = result as { readonly then?: unknown };
    if (typeof then === 'function') Reflect.apply(then, result, [undefined, onRejected]);
  } catch (error) {
    onRejected(error); // its `then` throws
  }
}
