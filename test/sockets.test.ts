/** The socket contract on this system. */
import { describe } from 'vitest';
import { lacksOfSystem } from './contract/capabilities.js';
import { socketCases } from './contract/sockets.js';
import { Bench } from './support/bench.js';
import { runCases } from './support/run-cases.js';

describe(`sockets on ${process.platform}`, () => {
  runCases(socketCases, lacksOfSystem(), () => ({ bench: new Bench() }));
});
