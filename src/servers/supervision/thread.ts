/** The entry of each thread of a server but the supervisor's: the supervisor starts it with a ThreadData. */
import { parentPort, workerData } from 'node:worker_threads';
import { makeInterruptible } from '../../syscalls/slices.js';
import { adoptFd } from '../worker/adopt-fd.js';
import { ConnectionQueue } from '../worker/connection-queue.js';
import { CriticalSection } from '../worker/critical-section.js';
import type { TaskReply, Listening, StartRequest } from '../protocol/messages.js';
import { type Job, runProgram } from './program.js';
import { Scoreboard, INHERITED, keepMapped } from '../protocol/scoreboard.js';
import { CLOSING, countFailedHandOver } from '../worker/server.js';
import { Workers } from '../worker/workers.js';

export interface ThreadData extends Job, Pick<StartRequest, 'fds' | 'queue' | 'task' | 'taskPort'> {
  /** One cell: CLOSING. */
  readonly control: Int32Array;
  /** See createSectionMemory(). */
  readonly section: Int32Array;
}

function start(): void {
  if (parentPort === null) throw new Error('only a server starts this file');
  const supervisor = parentPort;
  const data = workerData as ThreadData;
  const scoreboard = keepMapped(new Scoreboard(data.scoreboard.path, data.scoreboard.size));
  const count = scoreboard.row(data.row);
  if (data.settings.interruptible) count.wakeupHandle = makeInterruptible();
  // From here on this thread owns its inherited sockets: they are closed when it exits.
  const onFailed = (error: unknown): void => countFailedHandOver(count, error);
  const inherited = data.fds.flatMap((fd) => adoptFd(fd, onFailed) ?? []);
  count.state = INHERITED;
  const section = new CriticalSection(data.section);
  const onTaken = (): void => {
    count.assigned++; // lost if this thread exits now
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
    task: data.task ?? null,
    section,
    announce: (address) => supervisor.postMessage({ type: 'listening', address } satisfies Listening),
    replyToTask: (reply) => supervisor.postMessage({ type: 'taskReply', reply } satisfies TaskReply),
  });
}

start();
