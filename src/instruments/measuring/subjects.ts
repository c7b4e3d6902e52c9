/** Subjects of a measurement: each server model over each of its mechanisms, the textbook's servers in C, and node:net as the reference. */
import { invalidType, invalidValue, unavailable } from '../../errors.js';
import {
  ACCEPT_STRATEGIES,
  type AcceptStrategy,
  SERVER_MODELS,
  type ServerModelName,
  type ServerModelRow,
} from '../../servers.js';
import type { Mechanism } from '../../index.js';
import { type TextbookModel, textbookModels, textbookProgram } from './textbook.js';

/** The reference: `net.createServer()`. */
export const NODE_NET = 'node:net';

/** One way to serve. */
export interface Subject {
  /** 'reactor:epoll', 'proactor:emulated:epoll', 'thread-pool', 'prefork:lock', 'textbook:prefork:lock', 'node:net', 'http:reactor:epoll' */
  readonly name: string;
  /** null: NODE_NET, a textbook server, or an HTTP server. */
  readonly model: ServerModelName | null;
  /** A textbook server in C (native/textbook/). */
  readonly textbook?: TextbookModel;
  /** A server of HTTP, for which each message is a GET (http.ts): on a loop inside Node's, or Node's own `http`. */
  readonly http?: 'reactor' | 'proactor' | 'node';
  readonly mechanism?: Mechanism;
  readonly accept?: AcceptStrategy;
}

/** A subject, and whether this system has it. */
export interface SubjectRow extends Subject {
  readonly isAvailable: boolean;
  /** Why it is available or not, as text. */
  readonly why: string;
}

/** One row per mechanism or accept strategy: `model:…`. */
function rowsOf(row: ServerModelRow): SubjectRow[] {
  const { name, mechanisms, isAvailable, why } = row;
  if (name === 'prefork') {
    return ACCEPT_STRATEGIES.map((strategy) => ({
      name: `prefork:${strategy.name}`,
      model: name,
      accept: strategy.name,
      isAvailable: strategy.isAvailable,
      why: strategy.why,
    }));
  }
  if (mechanisms.length === 0) return [{ name, model: name, isAvailable, why }];
  return mechanisms.map((mechanism) => ({ name: `${name}:${mechanism}`, model: name, mechanism, isAvailable, why }));
}

/** One row per model and accept strategy of the textbook program. */
function textbookRows(): SubjectRow[] {
  const { why } = textbookProgram();
  return textbookModels().map(({ missing, ...textbook }) => ({
    name: ['textbook', ...Object.values(textbook)].join(':'),
    model: null,
    textbook,
    isAvailable: missing === null,
    why: missing ?? why,
  }));
}

/** The two loops on their best mechanisms, and the reference. */
function httpRows(): SubjectRow[] {
  const loops = SERVER_MODELS.flatMap(({ name, mechanisms: [mechanism], isAvailable, why }): SubjectRow[] => {
    if ((name !== 'reactor' && name !== 'proactor') || mechanism === undefined) return [];
    return [{ name: `http:${name}:${mechanism}`, model: null, http: name, mechanism, isAvailable, why }];
  });
  return [...loops, { name: 'http:node', model: null, http: 'node', isAvailable: true, why: NODE }];
}

const NODE = `Node ${process.versions.node}`;

/** All subjects of this system, and also the models and accept strategies that it lacks: `isAvailable` is false. */
export function allSubjects(): readonly SubjectRow[] {
  return [
    ...SERVER_MODELS.flatMap(rowsOf),
    ...textbookRows(),
    { name: NODE_NET, model: null, isAvailable: true, why: NODE },
    ...httpRows(),
  ];
}

/**
 * The subject of this name. A model's name alone stands for its best mechanism.
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE: unknown name; ERR_UNAVAILABLE: not on this system
 */
export function subjectNamed(name: unknown): Subject {
  if (typeof name !== 'string') throw invalidType('subject', 'a string', name);
  const row = allSubjects().find((one) => one.name === name);
  if (row !== undefined) {
    if (!row.isAvailable) throw unavailable(`${name} is not available here: ${row.why}`);
    return row;
  }
  const model = SERVER_MODELS.find((one) => one.name === name);
  if (model !== undefined) return { name, model: model.name };
  throw invalidValue(
    `unknown subject '${name}'; this system has: ${allSubjects()
      .map((one) => one.name)
      .join(', ')}`,
  );
}
