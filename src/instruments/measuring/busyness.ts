/** Whether other programs use the machine: they change what is measured. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { childCpuOf } from './usage.js';

/** Label of a warning, as in machineFacts(). */
export const BUSY = 'busy machine';

/** Milliseconds for which the processors are watched before the measurement. */
const WATCHED = 300;
/** Shares of the time of all processors from which on a machine counts as busy. An idle system uses less than 0.03. */
const MAX_USED = 0.1;
export const MAX_STOLEN = 0.02;

/** Times of all processors in milliseconds since the system started. */
interface ProcessorTimes {
  readonly all: number;
  readonly idle: number;
  /** Time that a hypervisor gave to other machines. 0: this system does not report it. */
  readonly stolen: number;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function processorTimes(): ProcessorTimes {
  if (process.platform === 'linux') return timesOfLinux(readFileSync('/proc/stat', 'utf8'));
  const times = cpus().map((cpu) => cpu.times);
  const all = times.flatMap(({ user, nice, sys, idle, irq }) => [user, nice, sys, idle, irq]);
  return { all: sum(all), idle: sum(times.map(({ idle }) => idle)), stolen: 0 };
}

/** The first line of proc_stat(5), in steps of 10 ms. A processor that waits for a disk is idle. */
export function timesOfLinux(stat: string): ProcessorTimes {
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, stolen = 0] = (
    /^cpu +([\d ]+)/.exec(stat)?.[1] ?? ''
  )
    .split(' ')
    .map((ticks) => 10 * Number(ticks));
  const waiting = idle + iowait;
  return { all: sum([user, nice, system, irq, softirq, stolen, waiting]), idle: waiting, stolen };
}

/** What other programs and other machines used of the processors during a measurement: shares of the time of all processors. */
export interface OtherWork {
  /** Programs that this process has not started. null: this system does not report it. */
  readonly programs: number | null;
  readonly machines: number;
}

/** What the processors and this process have done up to a moment. */
export interface WorkSnapshot {
  readonly processors: ProcessorTimes;
  /** CPU time in milliseconds of this process, of its descendants, and of those that it has waited for. NaN: this system does not report it. */
  readonly own: number;
}

export function workUpToNow(): WorkSnapshot {
  const { user, system } = process.cpuUsage();
  return { processors: processorTimes(), own: (user + system + (childCpuOf(process.pid) ?? NaN)) / 1000 };
}

export function otherWorkBetween(before: WorkSnapshot, after: WorkSnapshot): OtherWork {
  const passed = Math.max(1, after.processors.all - before.processors.all);
  const stolen = after.processors.stolen - before.processors.stolen;
  const used = passed - (after.processors.idle - before.processors.idle) - stolen;
  const others = used - (after.own - before.own);
  return { programs: Number.isNaN(others) ? null : Math.max(0, others) / passed, machines: stolen / passed };
}

/** What other programs used before the measurement, and what the hypervisor took during it. */
export class Busyness {
  readonly #before: ProcessorTimes;
  /** Share of the processors that was in use before the measurement, 0 to 1. */
  readonly used: number;

  private constructor(used: number) {
    this.used = used;
    this.#before = processorTimes();
  }

  /** Watches the idle machine for a moment: call it before the first measurement. @throws the signal's reason */
  static async watch(signal?: AbortSignal): Promise<Busyness> {
    const before = processorTimes();
    await sleep(WATCHED, undefined, { signal });
    const after = processorTimes();
    return new Busyness(1 - (after.idle - before.idle) / Math.max(1, after.all - before.all));
  }

  /** Why the figures may be wrong, up to now. null: the machine is not busy */
  warning(): string | null {
    const now = processorTimes();
    const stolen = (now.stolen - this.#before.stolen) / Math.max(1, now.all - this.#before.all);
    const reasons = [
      ...(this.used > MAX_USED ? [`other programs used ${percent(this.used)} of the processors before it began`] : []),
      ...(stolen > MAX_STOLEN ? [`the hypervisor gave ${percent(stolen)} of their time to other machines`] : []),
    ];
    return reasons.length === 0 ? null : `${reasons.join('; ')}: figures and verdicts may be wrong`;
  }
}

export const percent = (share: number): string => `${Math.round(100 * share)} %`;
