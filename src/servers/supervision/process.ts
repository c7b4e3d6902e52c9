/**
 * The entry of each process of a server: `node process.js JOB`, with the job (ProcessJob) as JSON. POSIX: its inherited sockets are the
 * descriptors 3 and 4. Windows does not inherit sockets: each arrives on the standard input as the bytes of WSADuplicateSocket, after their
 * length (2 bytes, big-endian).
 */
import { readSync } from 'node:fs';
import { Socket } from '../../index.js';
import { FIRST_INHERITED, type ProcessJob } from './process-job.js';
import { runProgram } from './program.js';
import { Scoreboard, INHERITED } from '../protocol/scoreboard.js';

function start(): void {
  const job = JSON.parse(process.argv[2] ?? 'null') as ProcessJob | null;
  if (job === null) throw new Error('only a server starts this file');
  process.title = `selectors-native ${job.model}`;
  const inherited = Array.from({ length: job.sockets }, (_, index) => inherit(index));
  const scoreboard = new Scoreboard(job.scoreboard.path, job.scoreboard.size);
  const count = scoreboard.row(job.row);
  count.state = INHERITED;
  runProgram(job, {
    settings: job.settings,
    scoreboard,
    count,
    control: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
    workers: null,
    inherited,
    queue: null,
    taskPort: null,
    task: null,
    section: null,
    announce: () => undefined,
    replyToTask: () => undefined,
  });
  process.exit();
}

/** Does not change whether the socket blocks: O_NONBLOCK is shared by all processes that have the listener open. */
function inherit(index: number): Socket {
  if (process.platform !== 'win32') return Socket.fromFd(FIRST_INHERITED + index);
  return Socket.fromShare(readInput(readInput(2).readUInt16BE()));
}

function readInput(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let length = 0; length < size;) {
    const received = readSync(0, bytes, length, size - length, null);
    if (received === 0) throw new Error('the parent process has exited');
    length += received;
  }
  return bytes;
}

start();
