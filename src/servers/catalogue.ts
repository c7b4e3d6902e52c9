/** The server models as data, for the command line, the documents, and whoever wants to choose. */
import type { Mechanism } from '../index.js';
import type { Model } from './models/model.js';
import { models } from './models/index.js';
import { mechanismsHere } from './models/mechanisms.js';

export interface ServerModelRow extends Pick<
  Model,
  'name' | 'summary' | 'strengths' | 'weaknesses' | 'applications' | 'workers' | 'options'
> {
  /** Those of its multiplexers that this system has; empty for a model without one. */
  readonly mechanisms: readonly Mechanism[];
  readonly isAvailable: boolean;
  /** Why it is, or is not. */
  readonly why: string;
}

function rowOf(model: Model): ServerModelRow {
  const { name, summary, strengths, weaknesses, applications, workers, options } = model;
  const mechanisms = model.mechanisms.filter((one) =>
    mechanismsHere.some((row) => row.mechanism === one && row.available),
  );
  const isAvailable = model.mechanisms.length === 0 || mechanisms.length > 0;
  const why = isAvailable ? howHere(model, mechanisms) : `this system has none of ${model.mechanisms.join(', ')}`;
  return { name, summary, strengths, weaknesses, applications, mechanisms, workers, options, isAvailable, why };
}

/** By what means it does here what differs from system to system. */
function howHere({ workers, name }: Model, [best]: readonly Mechanism[]): string {
  const inherits = process.platform === 'win32' ? 'WSADuplicateSocket' : 'inherited descriptors';
  const passes = process.platform === 'win32' ? 'WSADuplicateSocket' : 'SCM_RIGHTS';
  const how = [
    ...(best === undefined ? [] : [best]),
    ...(workers === 'processes' ? [name === 'process-pool' ? passes : inherits] : []),
    ...(workers === 'threads' ? ['worker threads'] : []),
  ];
  return how.length === 0 ? 'needs nothing but sockets' : how.join(', ');
}

/** One row a model, in the order in which the posts come to them. */
export const SERVER_MODELS: readonly ServerModelRow[] = Object.values(models).map(rowOf);
