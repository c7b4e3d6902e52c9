/** Folders for the time of this process, at the most: removed when it ends by process.exit() or an error, too. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';

const folders = new Set<string>();

/** Those that can be removed, all of them: before an end without process.exit(). */
export function removeTemporaryFolders(): void {
  for (const folder of folders) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // Windows keeps a file that is mapped, and with it the folder. It lies among the temporary ones.
    }
  }
}

/** @param prefix of its name. @returns its path from the root: the working directory may change. @throws as mkdtemp(3) */
export function makeTemporaryFolder(prefix: string): string {
  const folder = mkdtempSync(resolve(tmpdir(), prefix));
  if (folders.size === 0) process.on('exit', removeTemporaryFolders);
  folders.add(folder);
  return folder;
}

/** @throws where a file of it cannot be removed */
export function removeTemporaryFolder(folder: string): void {
  folders.delete(folder);
  if (folders.size === 0) process.off('exit', removeTemporaryFolders);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
