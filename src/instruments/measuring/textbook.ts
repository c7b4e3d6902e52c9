/** The textbook's servers in C (native/textbook/): a program beside the addon, with the same tags in its name. */
import { constants, accessSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { addonPath } from '../../native.js';

/** Where the program is. */
export interface TextbookProgram {
  /** Its path. null: it is missing. */
  readonly path: string | null;
  /** Why it is missing or not, as text. */
  readonly why: string;
}

/** How the program serves: its MODEL and STRATEGY. */
export interface TextbookModel {
  readonly model: (typeof MODELS)[number];
  /** Of prefork. */
  readonly accept?: (typeof STRATEGIES)[number];
}

const MODELS = [
  ...(['iterative', 'fork-per-connection', 'thread-per-connection', 'thread-pool', 'prefork'] as const),
  'process-pool',
] as const;
const STRATEGIES = ['blocking', 'lock', 'epoll', 'exclusive', 'reuseport'] as const;
/** Strategies that only Linux has. */
const LINUX_ONLY: readonly TextbookModel['accept'][] = ['epoll', 'exclusive', 'reuseport'];

/** Finds the program beside the addon that the package loads: build/Release/textbook, prebuilds/linux-x64/textbook.glibc. */
export function textbookProgram(): TextbookProgram {
  if (process.platform === 'win32')
    return { path: null, why: 'the textbook program is not for Windows, which has no fork' };
  try {
    const name = basename(addonPath, '.node').replace(/^selectors[-_]native/, 'textbook');
    const path = join(dirname(addonPath), name);
    accessSync(path, constants.X_OK);
    return { path, why: 'the textbook program in C is built' };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const reason = code === 'EACCES' ? 'is not executable' : 'is not beside the addon';
    return {
      path: null,
      why: `the textbook program in C ${reason} (${code}): node scripts/build-native.mjs builds it`,
    };
  }
}

/** One way to serve. */
export interface TextbookRow extends TextbookModel {
  /** Why this system lacks it. null: it has it. */
  readonly missing: string | null;
}

/** All models, each strategy of prefork apart. */
export function textbookModels(): readonly TextbookRow[] {
  const { path, why } = textbookProgram();
  const reason = path === null ? why : null;
  return MODELS.flatMap<TextbookRow>((model) => {
    if (model !== 'prefork') return [{ model, missing: reason }];
    return STRATEGIES.map((accept) => {
      const isElsewhere = process.platform !== 'linux' && LINUX_ONLY.includes(accept);
      return { model, accept, missing: reason ?? (isElsewhere ? `${accept} needs Linux` : null) };
    });
  });
}

/** Models with a fixed number of workers, each of which serves one connection until it ends. */
export const TEXTBOOK_POOLS: readonly TextbookModel['model'][] = ['thread-pool', 'prefork', 'process-pool'];

/**
 * The command of a server.
 * @param workers of TEXTBOOK_POOLS; the others have no such option. Default: the program's
 * @throws Error the program is missing
 */
export function textbookCommand({ model, accept }: TextbookModel, workers?: number): readonly string[] {
  const { path, why } = textbookProgram();
  if (path === null) throw new Error(why);
  return [
    ...[path, model],
    ...(accept === undefined ? [] : ['--accept', accept]),
    ...(workers === undefined || !TEXTBOOK_POOLS.includes(model) ? [] : ['--workers', String(workers)]),
  ];
}
