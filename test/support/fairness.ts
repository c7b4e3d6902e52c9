/** The requests of flooding clients and of a quiet client, per application; and the loops that serve them. */
import {
  type ConnectionHandler,
  type EventLoop,
  ProactorLoop,
  Reactor,
  createProactor,
  createSelector,
} from '../../src/index.js';
import { chat } from '../../src/servers/applications/chat.js';
import { echo } from '../../src/servers/applications/echo.js';
import { frame } from '../../src/servers/applications/framing.js';
import { rpc } from '../../src/servers/applications/rpc.js';
import { readinessMechanisms } from './mechanisms.js';
import { proactorRows } from './proactors.js';

export const CHUNK = 65_536;

export interface Traffic {
  readonly application: ConnectionHandler;
  /** What a flooding client sends repeatedly. */
  readonly flood: Buffer;
  readonly request: string | Buffer;
  /** The end of the reply to it. */
  readonly reply: string;
}

export const TRAFFIC: Readonly<Record<string, () => Traffic>> = {
  echo: () => ({ application: echo(), flood: Buffer.alloc(CHUNK, 'z'), request: 'q', reply: 'q' }),
  rpc: () => ({
    application: rpc(),
    flood: Buffer.concat(
      Array.from({ length: 20 }, () => frame(JSON.stringify({ in: 'ping', params: 'z'.repeat(2000) }))),
    ),
    request: frame(JSON.stringify({ in: 'ping', params: 'quiet' })),
    reply: '"quiet"}',
  }),
  chat: () => ({
    application: chat(),
    flood: Buffer.from(`${JSON.stringify({ user: 'flood', text: 'z'.repeat(2000) })}\n`.repeat(20)),
    request: `${JSON.stringify({ user: 'quiet', text: 'q' })}\n`,
    reply: '[quiet] q\n',
  }),
};

export const LOOPS: readonly (readonly [name: string, unavailable: string | undefined, make: () => EventLoop])[] = [
  ...readinessMechanisms.map(
    ({ mechanism, available, why }) =>
      [
        `reactor on ${mechanism}`,
        available ? undefined : why,
        () => new Reactor({ selector: createSelector(mechanism) }),
      ] as const,
  ),
  ...proactorRows.map(
    ({ mechanism, create, why }) =>
      [
        `proactor on ${mechanism}`,
        create === undefined ? why : undefined,
        () => new ProactorLoop({ proactor: createProactor(mechanism) }),
      ] as const,
  ),
];
