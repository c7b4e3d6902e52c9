/** Temporary folders, removed at the latest when this process ends, also by process.exit() or an error. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';

const folders = new Set<string>();

/** Removes all of them, as far as possible. For an end of the process without the event 'exit'. */
export function removeTemporaryFolders(): void {
  for (const folder of folders) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // Ignored: Windows does not remove a mapped file. The folder stays in the system's temporary folder.
    }
  }
}

/** Makes a folder. @param prefix of its name. @returns its absolute path. @throws as mkdtemp(3) */
export function makeTemporaryFolder(prefix: string): string {
  const folder = mkdtempSync(resolve(tmpdir(), prefix));
  if (folders.size === 0) process.on('exit', removeTemporaryFolders);
  folders.add(folder);
  return folder;
}

/** Removes a folder with its files. @throws if a file cannot be removed */
export function removeTemporaryFolder(folder: string): void {
  folders.delete(folder);
  if (folders.size === 0) process.off('exit', removeTemporaryFolders);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}
