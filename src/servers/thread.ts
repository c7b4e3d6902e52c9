/** The start of each thread of a server, as of the supervisor's doing. */
import { parentPort, workerData } from 'node:worker_threads';
import { Socket } from '../index.js';
import { ConnectionQueue } from './connection-queue.js';
import type { Listening, StartRequest } from './messages.js';
import { type Job, runProgram } from './program.js';
import { SERVING, Scoreboard } from './scoreboard.js';
import { CLOSING } from './server.js';
import { TaskSource } from './tasks.js';
import { Workers } from './workers.js';

export interface ThreadData extends Job, Pick<StartRequest, 'fds' | 'queue' | 'tasks'> {
  readonly control: Int32Array;
}

function start(): void {
  if (parentPort === null) throw new Error('this file is started by a server');
  const supervisor = parentPort;
  const data = workerData as ThreadData;
  const scoreboard = new Scoreboard(data.scoreboard.path, data.scoreboard.size);
  const count = scoreboard.row(data.row);
  // They are this thread's from now on, and closed when it ends.
  const inherited = data.fds.map((fd) => Socket.fromFd(fd, { blocking: true }));
  count.state = SERVING;
  const pause = (ms: number): void => void Atomics.wait(data.control, CLOSING, 0, ms);
  runProgram(data, {
    settings: data.settings,
    scoreboard,
    count,
    control: data.control,
    workers: new Workers(supervisor, scoreboard, data.settings.workers, pause),
    inherited,
    queue: data.queue === undefined ? null : new ConnectionQueue(data.queue),
    tasks: data.tasks === undefined ? null : new TaskSource(data.tasks.port, data.tasks.news),
    announce: (address) => supervisor.postMessage({ type: 'listening', address } satisfies Listening),
  });
}

start();
