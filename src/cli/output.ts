/** What a server in the foreground says. */
import { writeSync } from 'node:fs';
import { jsonForTerminal } from '../servers/applications/plain-text.js';

/** Prints at once, also while Node's loop stands still. */
export function print(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') process.exit(); // `… | head -1`: nobody reads any further
    if (code === 'EIO') return; // the terminal is closed: its SIGHUP ends the server
    if (code !== 'EAGAIN') throw error; // a slow terminal: a line is lost, the server goes on
  }
}

export function printError(error: unknown): void {
  try {
    writeSync(2, `selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
  } catch {
    // Nobody listens, or nobody can now: the server goes on.
  }
}

const LONGEST_SHOWN = 60;

/** Bytes as a JSON string, shortened. */
export function showBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, LONGEST_SHOWN)).toString('utf8');
  return `${jsonForTerminal(JSON.stringify(text))}${bytes.length > LONGEST_SHOWN ? '…' : ''} (${bytes.length} bytes)`;
}
