/** The start of each thread of a server, as of the supervisor's doing. */
import { parentPort, workerData } from 'node:worker_threads';
import { adopted } from '../worker/adopted.js';
import { ConnectionQueue } from '../worker/connection-queue.js';
import { CriticalSection } from '../worker/critical-section.js';
import type { Answered, Listening, StartRequest } from '../protocol/messages.js';
import { type Job, runProgram } from './program.js';
import { Scoreboard, TAKEN, keepMapped } from '../protocol/scoreboard.js';
import { CLOSING, countFailedHandOver } from '../worker/server.js';
import { Workers } from '../worker/workers.js';

export interface ThreadData extends Job, Pick<StartRequest, 'fds' | 'queue' | 'task' | 'taskPort'> {
  readonly control: Int32Array;
  readonly section: Int32Array;
}

function start(): void {
  if (parentPort === null) throw new Error('this file is started by a server');
  const supervisor = parentPort;
  const data = workerData as ThreadData;
  const scoreboard = keepMapped(new Scoreboard(data.scoreboard.path, data.scoreboard.size));
  const count = scoreboard.row(data.row);
  // They are this thread's from now on, and closed when it ends.
  const onFailed = (error: unknown): void => countFailedHandOver(count, error);
  const inherited = data.fds.flatMap((fd) => adopted(fd, onFailed) ?? []);
  count.state = TAKEN;
  const section = new CriticalSection(data.section);
  const onTaken = (): void => {
    count.handed++; // it is this thread's to lose
    count.dequeued++;
  };
  section.leave();
  if (inherited.length < data.fds.length) return;
  const pause = (ms: number): void => void Atomics.wait(data.control, CLOSING, 0, ms);
  runProgram(data, {
    settings: data.settings,
    scoreboard,
    count,
    control: data.control,
    workers: new Workers(supervisor, scoreboard, section, data.settings.workers, pause),
    inherited,
    queue: data.queue === undefined ? null : new ConnectionQueue(data.queue, section, onTaken, onFailed),
    taskPort: data.taskPort ?? null,
    request: data.task ?? null,
    section,
    announce: (address) => supervisor.postMessage({ type: 'listening', address } satisfies Listening),
    answer: (reply) => supervisor.postMessage({ type: 'answered', reply } satisfies Answered),
  });
}

start();
