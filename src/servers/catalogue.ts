/** The server models as data: for the command line, the documents, and programs that choose one. */
import type { Mechanism } from '../index.js';
import type { Model } from './models/model.js';
import { models } from './models/index.js';
import { mechanismsHere } from './models/mechanisms.js';

/** What a server model is, and whether this system has it. */
export interface ServerModelRow extends Pick<
  Model,
  'name' | 'summary' | 'strengths' | 'weaknesses' | 'applications' | 'workers' | 'options'
> {
  /** The multiplexers of the model that this system has, the default first; empty for a model without one. */
  readonly mechanisms: readonly Mechanism[];
  /** The model needs no multiplexer, or this system has one of those it needs. */
  readonly isAvailable: boolean;
  /** Why it is available, and by what means; or why not. */
  readonly why: string;
}

function rowOf(model: Model): ServerModelRow {
  const { name, summary, strengths, weaknesses, applications, workers, options } = model;
  const mechanisms = model.mechanisms.filter((one) =>
    mechanismsHere.some((row) => row.mechanism === one && row.available),
  );
  const isAvailable = model.mechanisms.length === 0 || mechanisms.length > 0;
  const why = isAvailable ? meansOf(model, mechanisms) : `this system has none of ${model.mechanisms.join(', ')}`;
  return { name, summary, strengths, weaknesses, applications, mechanisms, workers, options, isAvailable, why };
}

/** The means, as far as they differ between systems: 'epoll, SCM_RIGHTS'. */
function meansOf({ workers, name }: Model, [best]: readonly Mechanism[]): string {
  const inherits = process.platform === 'win32' ? 'WSADuplicateSocket' : 'inherited descriptors';
  const passes = process.platform === 'win32' ? 'WSADuplicateSocket' : 'SCM_RIGHTS';
  const means = [
    ...(best === undefined ? [] : [best]),
    ...(workers === 'processes' ? [name === 'process-pool' ? passes : inherits] : []),
    ...(workers === 'threads' ? ['worker threads'] : []),
  ];
  return means.length === 0 ? 'needs only sockets' : means.join(', ');
}

/** All server models, in the order in which the posts introduce them. */
export const SERVER_MODELS: readonly ServerModelRow[] = Object.values(models).map(rowOf);
