/** Deno's own sockets: one async function per connection, which reads, replies and reads again. */
import { applications, joined } from './applications.mjs';

const name = Deno.args[0];
if (!Object.hasOwn(applications, name)) {
  console.error(`${name}: not one of ${Object.keys(applications).join(', ')}`);
  Deno.exit(2);
}
const application = applications[name];
const room = new Set();

/** A member of the chat room, whom all members write to. One write is in progress at a time; later bytes go with the next one. */
class Member {
  #conn;
  #waiting = [];
  /** Fulfilled when the queue is empty. It never rejects: the read of the connection reports an error. */
  written = null;

  constructor(conn) {
    this.#conn = conn;
  }

  send(bytes) {
    this.#waiting.push(bytes);
    this.written ??= this.#write();
  }

  async #write() {
    try {
      while (this.#waiting.length > 0) await writeAll(this.#conn, joined(this.#waiting.splice(0)));
    } catch {
      this.#waiting = [];
    }
    this.written = null;
  }
}

async function serve(conn) {
  const member = new Member(conn);
  room.add(member);
  try {
    conn.setNoDelay(true);
    const answer = application();
    const buffer = new Uint8Array(65_536);
    for (let size = await conn.read(buffer); size !== null; size = await conn.read(buffer)) {
      const bytes = answer(buffer.subarray(0, size));
      if (application === applications.chat) {
        if (bytes.length > 0) for (const other of room) other.send(bytes);
        await member.written; // who does not read what there is, is not heard either
      } else {
        await writeAll(conn, bytes);
      }
    }
  } catch {
    // Reset by its peer, or invalid: it is closed, and the others go on.
  }
  room.delete(member);
  conn.close();
}

async function writeAll(conn, bytes) {
  let done = 0;
  while (done < bytes.length) done += await conn.write(bytes.subarray(done));
}

const listener = Deno.listen({ hostname: '127.0.0.1', port: 0, tcpBacklog: 4096 });
console.log(`listening on 127.0.0.1:${listener.addr.port}`);
for (;;) {
  try {
    void serve(await listener.accept());
  } catch (error) {
    // A connection that was reset before it was accepted is no reason to wait. Otherwise no descriptor is free: one may be soon.
    if (!(error instanceof Deno.errors.NotConnected)) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
