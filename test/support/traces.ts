/** Helpers to inspect traces. */
import { join } from 'node:path';
import type { SyscallRecord } from '../../src/trace.js';
import { root } from './program.js';

const isWindows = process.platform === 'win32';
/** The system's names of the calls. */
export const SEND = isWindows ? 'send' : 'sendto';
export const RECV = isWindows ? 'recv' : 'recvfrom';
/** The system call of native.isOpen(): one per call, with the number as its first argument. It fails if the number is not open. */
export const IS_OPEN = isWindows ? 'getsockopt' : 'fcntl';

/** The first of the descriptor numbers that are never open: a call with such a number marks a place in the trace. */
export const NOBODY = 500_000;

/** The marks of a trace: the numbers that native.isOpen() was called with. */
export function marksOf(records: readonly SyscallRecord[]): number[] {
  return records.filter(({ name }) => name === IS_OPEN).map((record) => Number.parseInt(record.arguments, 10));
}

/**
 * The source of a program or a worker with `startTrace`, `injectFaults`, the addon as `native`, and `mark(number)`, which marks the trace.
 * It loads nothing else of the package, whose index probes for mechanisms.
 */
export const tracedText = (body: string): string => `'use strict';
  const { startTrace } = require(${JSON.stringify(join(root, 'dist/trace/trace.js'))});
  const { injectFaults } = require(${JSON.stringify(join(root, 'dist/trace/faults.js'))});
  const { native } = require(${JSON.stringify(join(root, 'dist/native.js'))});
  const mark = (number) => native.isOpen(${NOBODY} + number);
  ${body}`;

/** The same for a worker, with `post(message)` and `on(callback)` as well. */
export const workerText = (body: string): string =>
  tracedText(`
    const { parentPort, workerData, Worker } = require('node:worker_threads');
    const post = (message) => parentPort.postMessage(message);
    const on = (callback) => parentPort.on('message', callback);
    ${body}`);
