/** The proactor loop of a server. */
import { ProactorLoop, createProactor } from '../../index.js';

/**
 * @param mechanism default: the best for which the system has resources
 * @throws ENOMEM for an explicit io_uring when RLIMIT_MEMLOCK is too low for its ring or its buffers; the message names the limit
 */
export function createProactorLoop(mechanism: string | undefined, onError: (error: unknown) => void): ProactorLoop {
  if (mechanism === undefined) return new ProactorLoop({ onError }); // falls back to the emulation by itself
  const proactor = createProactor(mechanism);
  try {
    return new ProactorLoop({ proactor, onError });
  } catch (error) {
    proactor.close();
    throw error;
  }
}
