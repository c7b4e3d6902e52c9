/** Folders that are removed with the test. No runtime import of the package. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder. close() removes it, except on Windows: that deletes no mapped file, and only the garbage collector unmaps it. */
export function temporaryFolder(): { readonly path: string; close(): void } {
  const path = mkdtempSync(join(tmpdir(), 'selectors-native-'));
  return {
    path,
    close() {
      try {
        rmSync(path, { recursive: true, force: true });
      } catch (error) {
        if (process.platform !== 'win32') throw error;
      }
    },
  };
}
