/**
 * The application rpc without JSON: what its framing, its inbox and the loop cost. It answers as rpc does, and does what bench/c/epoll.c does:
 * a frame must begin as the clients write a ping, and what follows is copied into the reply.
 *
 *   frames reactor|proactor MECHANISM
 */
import { answerInline } from '../../../servers/applications/application.js';
import { rpc } from '../../../servers/applications/rpc.js';
import { serveOnLoop } from './serve-on-loop.js';

const PREFIX = 4;
const PING = Buffer.from('{"in":"ping","params":');
const PONG = Buffer.from('{"out":"pong","result":');

function answerPing(request: Buffer): Buffer {
  if (request.length < PING.length || request.compare(PING, 0, PING.length, 0, PING.length) !== 0)
    throw new Error('the frame does not begin as a ping');
  const params = request.length - PING.length;
  const reply = Buffer.allocUnsafe(PREFIX + PONG.length + params);
  reply.writeUInt32LE(PONG.length + params);
  reply.set(PONG, PREFIX);
  request.copy(reply, PREFIX + PONG.length, PING.length);
  return reply;
}

serveOnLoop(rpc(undefined, answerInline(answerPing)));
