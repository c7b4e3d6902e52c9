/**
 * The server of the fault matrix: one process; for each cell, an echo loop under one fault plan. The parent sends {make, mechanism, mode,
 * plan} and receives the ports. Commands go over a connection to the second port, which a blocking loop can receive: 'f' starts the
 * faults, 'c' requests the number of system calls made, 's' ends the cell.
 */
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const dist = path.join(__dirname, '../../dist');
const selectors = require(path.join(dist, 'index.js'));
const { injectFaults, startTrace } = require(path.join(dist, 'trace.js'));
const { plantedLoop } = require('./planted-loop.cjs');

/** The sockets, epoll sets, eventfds and rings of this process. */
const ours = () =>
  fs
    .readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        return [fs.readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return []; // the descriptor that read the folder
      }
    })
    .filter((what) => /^(socket:|anon_inode:)/.test(what)).length;

function makeLoop({ make, mechanism }, onError) {
  if (make === 'reactor') return new selectors.Reactor({ selector: selectors.createSelector(mechanism), onError });
  if (make === 'planted') return plantedLoop(mechanism);
  const proactor = mechanism === 'io_uring' ? new selectors.IoUringProactor() : selectors.createProactor(mechanism);
  return new selectors.ProactorLoop({ proactor, onError });
}

async function runCell(cell) {
  const before = ours();
  const told = [];
  const loop = makeLoop(cell, (error) => told.push(error.code ?? error.message));
  const trace = startTrace({ capacity: 1 });
  let faults = null;
  const handler = {
    data: (connection, chunk) => void connection.write(chunk),
    end: (connection) => connection.end(),
    close: (connection, error) => error !== null && told.push(`close ${error.code}`),
  };
  const answer = (connection, value) => connection.write(`${JSON.stringify(value)}\n`);
  const commands = {
    f: (connection) => {
      faults = injectFaults(cell.plan);
      // A multishot accept is submitted once: open a second listener, whose accept is under the plan from the start.
      const isOfAccept = cell.plan.startsWith('accept.completion');
      answer(connection, isOfAccept ? loop.listen({ port: 0 }, handler).address.port : served.address.port);
    },
    c: (connection) => answer(connection, trace.dropped),
    s: () => {
      counts = faults.counts();
      faults.stop();
      loop.stop();
    },
  };
  let counts = [];
  const served = loop.listen({ port: 0 }, handler);
  const control = loop.listen(
    { port: 0 },
    { data: (connection, chunk) => [...chunk].forEach((byte) => commands[String.fromCharCode(byte)]?.(connection)) },
  );
  process.send({ port: served.address.port, control: control.address.port });
  try {
    if (cell.mode === 'start') await loop.start();
    else loop.run();
  } catch (error) {
    faults?.stop();
    told.push(`run() threw ${error.stack}`);
  }
  trace.stop();
  loop.close();
  loop.selector?.close();
  loop.proactor?.close();
  // Node's loop closes its handles on a later turn.
  for (let i = 0; i < 200 && ours() > before; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  process.send({ told, counts, left: ours() - before });
}

let cells = Promise.resolve();
process.on('message', (cell) => (cells = cells.then(() => runCell(cell))));
