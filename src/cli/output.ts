/** The output of a server in the foreground. */
import { writeSync } from 'node:fs';
import { jsonForTerminal } from '../servers/applications/plain-text.js';

/** Prints synchronously, since Node's event loop may be blocked. */
export function print(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') process.exit(); // `… | head -1`: the reader has exited
    if (code === 'EIO') return; // the terminal is closed: SIGHUP ends the server
    if (code !== 'EAGAIN') throw error; // a slow terminal: the line is dropped, the server goes on
  }
}

/** Prints one line on the standard error, synchronously. */
export function printError(error: unknown): void {
  try {
    writeSync(2, `selectors-native: ${error instanceof Error ? error.message : String(error)}\n`);
  } catch {
    // The standard error is closed or full: the server goes on.
  }
}

/** Bytes. */
const MAX_SHOWN = 60;

/** Bytes as a JSON string of at most MAX_SHOWN bytes, and their number. */
export function showBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, MAX_SHOWN)).toString('utf8');
  return `${jsonForTerminal(JSON.stringify(text))}${bytes.length > MAX_SHOWN ? '…' : ''} (${bytes.length} bytes)`;
}

/** The command line of this program, as a shell reads it. */
export function commandLine(): string {
  const quoted = (word: string): string =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  return ['selectors-native', ...process.argv.slice(2)].map(quoted).join(' ');
}
