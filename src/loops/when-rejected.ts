/**
 * Async handlers and callbacks: TypeScript accepts an async function where one without a result is expected, and its rejection must not end
 * the process as an unhandled one.
 */

/**
 * Calls back when the promise that a handler has returned rejects; any object with a `then` counts, of any realm or library.
 * @param result what the handler has returned; other values are ignored
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
