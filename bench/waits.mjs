// npm run bench:waits [-- --windows] [SOCKETS…]: what a wait costs with each selector of this system, in µs per call, over that many registered
// sockets of which 1, and 100, are ready. Default: 100 1000 10000. --windows: of the Windows node.exe under Wine (scripts/bench-waits.mjs).
//
// The sockets are datagram sockets, each connected to itself. The ready ones have a datagram that is not received, so that each call reports
// them again: a level-triggered selector must. Each call is checked. All mechanisms take turns in each round; the figures are the median
// and the quartiles of the rounds.
import { EVENT_READ, Socket, availableMechanisms, createSelector } from '../dist/index.mjs';

const ROUNDS = 9;
const READY = [1, 100];
/** Milliseconds that the calls of one round take at least. */
const ROUND = 100;

const counts = process.argv.slice(2).map(Number);
if (counts.length === 0) counts.push(100, 1000, 10_000);
if (counts.some((count) => !Number.isInteger(count) || count < Math.max(...READY)))
  throw new Error(`each number of sockets must be ${Math.max(...READY)} or more`);

function openSocket() {
  const socket = new Socket({ type: 'dgram', blocking: false }).bind({ host: '127.0.0.1', port: 0 });
  socket.connect(socket.localAddress);
  return socket;
}

/** A selector of `mechanism` over all sockets; undefined: it cannot hold them (select). */
function selectorOver(mechanism, sockets) {
  const selector = createSelector(mechanism);
  try {
    for (const socket of sockets) selector.register(socket, EVENT_READ);
    return selector;
  } catch (error) {
    selector.close();
    if (error.code !== 'ERR_OUT_OF_RANGE') throw error;
  }
}

/** µs per call, of as many calls as take ROUND milliseconds. */
function measure(selector, ready) {
  const start = performance.now();
  let calls = 0;
  let end = start;
  for (; end - start < ROUND; end = performance.now(), calls++) {
    const found = selector.select(0).length;
    if (found !== ready) throw new Error(`${selector.mechanism}: ${found} ready, not ${ready}`);
  }
  return (1000 * (end - start)) / calls;
}

const quantile = (sorted, q) => sorted[Math.round(q * (sorted.length - 1))];
const show = (number) => (number < 10 ? number.toFixed(1) : String(Math.round(number)));
const row = (...cells) =>
  cells.map((cell, i) => String(cell)[i === 0 ? 'padEnd' : 'padStart'](i === 0 ? 10 : 18)).join('');

const mechanisms = availableMechanisms()
  .filter(({ kind, available }) => kind === 'readiness' && available)
  .map(({ mechanism }) => mechanism);
console.log(row('mechanism', 'sockets', 'ready', 'µs per call', 'quartiles'));
for (const count of counts) {
  const sockets = Array.from({ length: count }, openSocket);
  const selectors = mechanisms.map((mechanism) => selectorOver(mechanism, sockets)).filter((one) => one !== undefined);
  let sent = 0;
  for (const ready of READY) {
    for (; sent < ready; sent++) sockets[sent].send('x');
    // Loopback: a datagram is there when send() returns; Wine takes a moment longer.
    for (const selector of selectors) while (selector.select(100).length < ready);
    const rounds = selectors.map(() => []);
    for (let round = 0; round < ROUNDS; round++)
      selectors.forEach((selector, i) => rounds[i].push(measure(selector, ready)));
    selectors.forEach(({ mechanism }, i) => {
      const sorted = rounds[i].sort((one, other) => one - other);
      const quartiles = [0.25, 0.75].map((q) => show(quantile(sorted, q))).join('–');
      console.log(row(mechanism, count, ready, show(quantile(sorted, 0.5)), quartiles));
    });
  }
  for (const closable of [...selectors, ...sockets]) closable.close();
}
