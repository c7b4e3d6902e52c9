/** Whether other programs use the machine: they change what is measured. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Label of a warning, as in machineFacts(). */
export const BUSY = 'busy machine';

/** Milliseconds for which the processors are watched before the measurement. */
const WATCHED = 300;
/** Shares of the time of all processors from which on a machine counts as busy. An idle system uses less than 0.03. */
const MAX_USED = 0.1;
const MAX_STOLEN = 0.02;

/** Times of all processors in milliseconds since the system started. */
interface ProcessorTimes {
  readonly all: number;
  readonly idle: number;
  /** Time that a hypervisor gave to other machines. 0: this system does not report it. */
  readonly stolen: number;
}

function processorTimes(): ProcessorTimes {
  const times = cpus().map((cpu) => cpu.times);
  const all = times.flatMap(({ user, nice, sys, idle, irq }) => [user, nice, sys, idle, irq]);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const stolen = stolenTime();
  return { all: sum(all) + stolen, idle: sum(times.map(({ idle }) => idle)), stolen };
}

/** Column 8 of proc_stat(5), in steps of 10 ms. */
function stolenTime(): number {
  if (process.platform !== 'linux') return 0;
  return 10 * Number(/^cpu(?: +\d+){7} +(\d+)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? 0);
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

const percent = (share: number): string => `${Math.round(100 * share)} %`;
