/** A server's proactor loop. */
import { ProactorLoop, createProactor } from '../../index.js';

/**
 * @param mechanism default: the best one that has room
 * @throws ENOMEM for io_uring asked for by name, where RLIMIT_MEMLOCK has no room for its ring or its buffers; the message names the limit
 */
export function createProactorLoop(mechanism: string | undefined, onError: (error: unknown) => void): ProactorLoop {
  if (mechanism === undefined) return new ProactorLoop({ onError }); // it falls back by itself
  const proactor = createProactor(mechanism);
  try {
    return new ProactorLoop({ proactor, onError });
  } catch (error) {
    proactor.close();
    throw error;
  }
}
