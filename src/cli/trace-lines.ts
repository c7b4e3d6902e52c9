/**
 * The lines of `trace`. Submissions are recorded before the call that submits them, and printed under it; completions are recorded after the
 * call that waits for them, and follow it. On a terminal, calls are coloured by family, failed ones red, and each thread has its own indentation.
 */
import { pc } from '../terminal/colors.js';
import { type CallFamily, familyOf } from '../trace/families.js';
import { type SyscallRecord, formatRecord } from '../trace/record.js';

/** Levels of indentation for threads; all further threads share the last. */
const MAX_LEVELS = 8;
/** Indentation of an operation under its call, and of one level. */
const INDENT = '  ';

const PAINT: Readonly<Record<CallFamily, (text: string) => string>> = {
  wait: pc.yellow,
  read: pc.green,
  write: pc.cyan,
  control: pc.dim,
};

export interface LineOptions {
  readonly times?: true;
  /** Colours and indentation by thread. */
  readonly isTerminal: boolean;
}

/** Puts submissions behind the next call of their thread, which submits them. */
export class SubmissionsUnderCalls {
  readonly #waiting = new Map<string, SyscallRecord[]>();

  /** The records that can be printed by now. */
  take(records: readonly SyscallRecord[]): readonly SyscallRecord[] {
    return records.flatMap((record) => {
      const thread = `${record.process} ${record.thread}`;
      const submissions = this.#waiting.get(thread) ?? [];
      if (record.kind === 'submission') {
        submissions.push(record);
        this.#waiting.set(thread, submissions);
        return [];
      }
      this.#waiting.delete(thread);
      return [record, ...submissions];
    });
  }

  /** Those whose call has not returned. */
  takeRest(): readonly SyscallRecord[] {
    const rest = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return rest;
  }
}

/** Formats records, one line each. */
export class TraceLines {
  readonly #options: LineOptions;
  readonly #levels = new Map<string, number>();

  constructor(options: LineOptions) {
    this.#options = options;
  }

  lineOf(record: SyscallRecord): string {
    const { kind, thread, start, duration } = record;
    const { times, isTerminal } = this.#options;
    const when = times ? `${start.toFixed(3).padStart(12)} ` : '';
    const howLong = times && kind === 'call' ? ` <${duration.toFixed(3)}>` : '';
    const level = isTerminal ? INDENT.repeat(this.#levelOf(record)) : '';
    const text = `${kind === 'call' ? '' : INDENT}${formatRecord(record)}${howLong}`;
    return `${thread} ${when}${level}${isTerminal ? paint(record, text) : text}`;
  }

  #levelOf({ process: id, thread }: SyscallRecord): number {
    const key = `${id} ${thread}`;
    const level = this.#levels.get(key) ?? Math.min(this.#levels.size, MAX_LEVELS - 1);
    this.#levels.set(key, level);
    return level;
  }
}

function paint({ name, error }: SyscallRecord, text: string): string {
  return error === null || error === 'EAGAIN' ? PAINT[familyOf(name)](text) : pc.red(text);
}
