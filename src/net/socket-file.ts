/** The file that bind(2) makes for a Unix socket, and that nothing removes by itself (unix(7)). */
import { lstatSync, realpathSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';

/**
 * Which file it is: its device and inode, and its path from the root. By the time it is to be removed, the process may have another
 * working directory, and the path may lead to another file: a newer server's socket, or the same name in a newer folder behind a symbolic link.
 *
 * The system uses an inode again once nothing refers to it, and an open socket refers to its file. So remove() while the socket is open.
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

  /** @param path as bind(2) was given it, just now. @returns null: it has no file, or none any more */
  static of(path: Uint8Array): SocketFile | null {
    // A socket without a name, or with one in Linux's abstract namespace.
    if (path.length === 0 || path[0] === 0) return null;
    try {
      const absolute = absolutePath(path);
      const { dev, ino } = lstatSync(absolute, { bigint: true });
      return new SocketFile(absolute, dev, ino);
    } catch {
      return null; // removed since, or the working directory was: there is nothing that could be removed by its path
    }
  }

  /** Removes it, if it is still there. @returns the system's error where that is not allowed */
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

/** By bytes: a path need not be UTF-8. Of the folder that its symbolic links lead to now, for they may lead to another one later. */
function absolutePath(path: Uint8Array): Buffer {
  if (process.platform === 'win32') return Buffer.from(resolve(Buffer.from(path).toString()));
  const bytes = Buffer.from(path);
  const nameAt = bytes.lastIndexOf('/') + 1;
  const folder = nameAt === 0 ? '.' : bytes.subarray(0, nameAt);
  return Buffer.concat([realpathSync.native(folder, 'buffer'), Buffer.from('/'), bytes.subarray(nameAt)]);
}
