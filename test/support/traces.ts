/** What a trace is looked at with. */
import { join } from 'node:path';
import type { SyscallRecord } from '../../src/trace.js';
import { root } from './program.js';

const isWindows = process.platform === 'win32';
/** As the system names them. */
export const SEND = isWindows ? 'send' : 'sendto';
export const RECV = isWindows ? 'recv' : 'recvfrom';
/** native.isOpen(), which makes one call, whatever the number is: then its first argument is that, and it fails. */
export const IS_OPEN = isWindows ? 'getsockopt' : 'fcntl';

/** Numbers of descriptors that nobody has: a call with one of them is known again. */
export const NOBODY = 500_000;

/** The numbers that native.isOpen() was called with. */
export function marksOf(records: readonly SyscallRecord[]): number[] {
  return records.filter(({ name }) => name === IS_OPEN).map((record) => Number.parseInt(record.arguments, 10));
}

/**
 * A program, or a worker's, that has `startTrace`, `injectFaults`, the addon as `native`, and `mark(number)`, a call that is known again.
 * Nothing else of the package, which looks for mechanisms when it is loaded.
 */
export const tracedText = (body: string): string => `'use strict';
  const { startTrace } = require(${JSON.stringify(join(root, 'dist/trace/trace.js'))});
  const { injectFaults } = require(${JSON.stringify(join(root, 'dist/trace/faults.js'))});
  const { native } = require(${JSON.stringify(join(root, 'dist/native.js'))});
  const mark = (number) => native.isOpen(${NOBODY} + number);
  ${body}`;

/** A worker's, that has `post(message)` and `on(callback)` beside that. */
export const workerText = (body: string): string =>
  tracedText(`
    const { parentPort, workerData, Worker } = require('node:worker_threads');
    const post = (message) => parentPort.postMessage(message);
    const on = (callback) => parentPort.on('message', callback);
    ${body}`);
