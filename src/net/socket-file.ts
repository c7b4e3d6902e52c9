/** The file that bind(2) makes for a Unix socket. The system does not remove it (unix(7)). */
import { lstatSync, realpathSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * A socket's file: its device and inode, and its path from the root. When it is removed, the process may have another working directory, and
 * the path may lead to another file: a newer server's socket, or the same name in another folder behind a symbolic link.
 *
 * Call remove() while the socket is open: an open socket refers to its file, and the system reuses an inode once nothing refers to it.
 */
export class SocketFile {
  readonly #path: Buffer;
  readonly #device: bigint;
  readonly #inode: bigint;

  private constructor(path: Buffer, device: bigint, inode: bigint) {
    this.#path = path;
    this.#device = device;
    this.#inode = inode;
  }

  /** @param path what bind(2) was given just now. @returns null: there is no such file */
  static of(path: Uint8Array): SocketFile | null {
    // A socket without a name, or with a name in Linux's abstract namespace.
    if (path.length === 0 || path[0] === 0) return null;
    try {
      const absolute = absolutePath(path);
      const { dev, ino } = lstatSync(absolute, { bigint: true });
      return new SocketFile(absolute, dev, ino);
    } catch {
      return null; // the file or the working directory was removed meanwhile: nothing is left to remove
    }
  }

  /** Removes the file, if it is still there. @returns the system's error where that is not allowed */
  remove(): Error | undefined {
    try {
      const stats = lstatSync(this.#path, { bigint: true, throwIfNoEntry: false });
      if (stats?.dev === this.#device && stats.ino === this.#inode) unlinkSync(this.#path);
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : (error as Error);
    }
  }
}

/** In bytes: a path need not be UTF-8. Symbolic links of its folder are resolved now, for they may lead elsewhere later. */
function absolutePath(path: Uint8Array): Buffer {
  if (process.platform === 'win32') return Buffer.from(resolve(Buffer.from(path).toString()));
  const bytes = Buffer.from(path);
  const nameAt = bytes.lastIndexOf('/') + 1;
  const folder = nameAt === 0 ? '.' : bytes.subarray(0, nameAt);
  return Buffer.concat([realpathSync.native(folder, 'buffer'), Buffer.from('/'), bytes.subarray(nameAt)]);
}
