/** The programs that measure selector turns, one row each. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { distPath } from '../../package-folder.js';
import { benchFolder, builtC } from './build.js';
import { Missing, findProgram } from './programs.js';
import { TURNS, type TurnsRow } from './workloads.js';

/** A program that measures turns. It prints one line of JSON. */
export interface TurnProgram {
  readonly name: string;
  readonly what: string;
  readonly mechanisms: readonly TurnsRow['mechanism'][];
  /** @throws Missing */
  readonly command: (mechanism: string, registered: number, active: number, seconds: number) => readonly string[];
}

const numbers = (...all: readonly number[]): string[] => all.map(String);

export const OURS = 'selectors-native';
export const C = 'c';
export const C_SECOND_THREAD = 'c, second thread';

export const TURN_PROGRAMS: readonly TurnProgram[] = [
  {
    name: C,
    what: 'the system call in C',
    mechanisms: ['epoll', 'poll', 'select'],
    command: (mechanism, registered, _, seconds) => [
      builtC('turns'),
      mechanism,
      ...numbers(registered, seconds, TURNS.first),
    ],
  },
  {
    name: C_SECOND_THREAD,
    what: 'the same in a process with a second thread, as Node always has: the kernel then takes a reference per descriptor',
    mechanisms: ['epoll', 'poll', 'select'],
    command: (mechanism, registered, _, seconds) => [
      builtC('turns'),
      mechanism,
      ...numbers(registered, seconds, TURNS.first),
      'second-thread',
    ],
  },
  {
    name: OURS,
    what: 'EpollSelector, PollSelector, SelectSelector of this package',
    mechanisms: ['epoll', 'poll', 'select'],
    command: (mechanism, registered, _, seconds) => [
      process.execPath,
      distPath('instruments/bench/programs/turns.js'),
      mechanism,
      ...numbers(registered, seconds, TURNS.first),
    ],
  },
  {
    name: 'cpython',
    what: "CPython's selectors",
    mechanisms: ['epoll', 'poll', 'select'],
    command: (mechanism, registered, active, seconds) => {
      const python = findProgram(process.env.PYTHON ?? 'python3');
      if (python === null) throw new Missing('Python 3 is not installed (or PYTHON=PATH)');
      return [
        python,
        join(benchFolder, 'peers/turns.py'),
        mechanism,
        ...numbers(registered, active, seconds, TURNS.first),
      ];
    },
  },
  {
    name: 'npm-epoll',
    what: "the npm package epoll, which calls back within Node's loop",
    mechanisms: ['epoll'],
    command: (_, registered, active, seconds) => {
      const folder = process.env.NPM_EPOLL ?? process.cwd();
      try {
        createRequire(join(folder, 'package.json')).resolve('epoll');
      } catch {
        throw new Missing('not installed (npm install epoll in a folder, and NPM_EPOLL=FOLDER)');
      }
      return [
        process.execPath,
        join(benchFolder, 'peers/turns_npm_epoll.js'),
        ...numbers(registered, active, seconds, TURNS.first),
      ];
    },
  },
];
