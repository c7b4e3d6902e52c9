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

/** Errors of a file that is open or mapped: Windows does not remove it. */
const IN_USE: readonly unknown[] = ['EPERM', 'EACCES', 'EBUSY'];

/**
 * Removes a folder with its files. Windows cannot remove a file that this process has mapped, and memory of a thread that was terminated may
 * stay mapped until the process exits (native/shared/shared_file.cc): such a folder is tried again then.
 * @throws if a file cannot be removed for another reason
 */
export function removeTemporaryFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  } catch (error) {
    if (process.platform === 'win32' && IN_USE.includes((error as NodeJS.ErrnoException).code)) return;
    throw error;
  }
  folders.delete(folder);
  if (folders.size === 0) process.off('exit', removeTemporaryFolders);
}
