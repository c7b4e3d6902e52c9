/** How a socket gets into another process: SCM_RIGHTS over a Unix socket (unix(7)), WSADuplicateSocket on Windows. */
import type { PassFdsCalls, ShareSocketCalls } from '../addon.js';
import { check, outOfRange, unavailable } from '../errors.js';
import { passFdsCalls, shareSocketCalls } from '../native.js';
import { type FileObject, fileno } from '../syscalls/file-object.js';
import { lengthOf, listOf, uint8Array, wholeNumber } from '../validate.js';

/** @throws ERR_UNAVAILABLE on Windows */
export function scmRights(): PassFdsCalls {
  if (passFdsCalls === undefined)
    throw unavailable('Windows has no SCM_RIGHTS; share() hands a socket to another process');
  return passFdsCalls;
}

function winsockSharing(): ShareSocketCalls {
  if (shareSocketCalls === undefined)
    throw unavailable('WSADuplicateSocket is of Windows; sendFds() hands descriptors over');
  return shareSocketCalls;
}

/** The descriptors of a list of file objects. */
export function descriptorsOf(fds: unknown): Int32Array {
  return Int32Array.from(listOf('fds', fds).map((fileobj) => fileno(fileobj as FileObject)));
}

/** The bytes that go with descriptors: at least one is needed, so a zero is sent where there is none. */
export function bytesBeside(data: unknown): Uint8Array {
  const given = data === undefined ? undefined : uint8Array('data', data);
  return given === undefined || lengthOf(given) === 0 ? new Uint8Array(1) : given;
}

/** WSADuplicateSocket. @returns a WSAPROTOCOL_INFO for the process `pid`. @throws ERR_UNAVAILABLE elsewhere than on Windows */
export function shareSocket(fd: number, pid: unknown): Uint8Array {
  const calls = winsockSharing();
  const out = new Uint8Array(calls.WSAPROTOCOL_INFO_SIZE);
  check(calls.WSADuplicateSocket(fd, wholeNumber('pid', pid, 1, 0xffff_ffff), out), 'WSADuplicateSocket');
  return out;
}

/** WSASocket. @param shared from shareSocket(). @returns a new descriptor. @throws EINVAL, ERR_UNAVAILABLE */
export function openShared(shared: unknown): number {
  const calls = winsockSharing();
  const bytes = uint8Array('shared', shared);
  if (lengthOf(bytes) !== calls.WSAPROTOCOL_INFO_SIZE)
    throw outOfRange('shared', `${calls.WSAPROTOCOL_INFO_SIZE} bytes long`, lengthOf(bytes));
  return check(calls.WSASocket(bytes), 'WSASocket');
}
