/** The contract of a server, for every model and every application. */
import assert from 'node:assert/strict';
import type { Bench } from '../support/bench.js';
import { Client } from '../support/client.js';
import { type ApplicationName, type ModelServer, type ServerStats, until } from '../support/servers.js';
import {
  type Exchange,
  answersOf,
  assertAnswers,
  exchangesOf,
  framesOf,
  requestsOf,
  rpcAnswer,
  rpcRequest,
  talks,
} from '../support/talks.js';
import type { Capability, Case } from './case.js';

export interface ServerContext {
  readonly bench: Bench;
  readonly application: ApplicationName;
  readonly server: ModelServer;
  readonly address: { readonly host: string; readonly port: number };
  /** The number of its worker threads or processes. */
  readonly workers: number;
  /** The number of clients of the tests that connect hundreds. */
  readonly hundreds: number;
  has(capability: Capability): boolean;
}

/** A client with a name, and the exchanges that it has requested. */
class Speaker {
  readonly #exchanges: Exchange[] = [];

  constructor(
    readonly context: ServerContext,
    readonly name: string,
    readonly client: Client,
  ) {}

  /** The number of bytes of its requests so far. */
  get asked(): number {
    return requestsOf(this.#exchanges).length;
  }

  /** @returns the bytes of `count` new requests */
  prepare(count: number, size?: number): Buffer {
    const from = this.#exchanges.length;
    const exchanges = exchangesOf(talks[this.context.application], this.name, count, {
      from,
      ...(size === undefined ? {} : { size }),
    });
    this.#exchanges.push(...exchanges);
    return requestsOf(exchanges);
  }

  /** Waits until every request is answered, and checks the replies. */
  async answered(): Promise<void> {
    const expected = answersOf(this.#exchanges);
    const { client, name, context } = this;
    await client.received(expected.length);
    const own = (): Buffer => talks[context.application].ownOf(name, client.bytes);
    await client.receivedWhere(`${expected.length} bytes for ${name}`, () => own().length >= expected.length);
    assertAnswers(talks[context.application], own(), expected, context.has('answers in order'));
  }

  async exchange(count = 1, size?: number): Promise<void> {
    this.client.write(this.prepare(count, size));
    await this.answered();
  }

  /** Disconnects; resolves when the connection is closed. */
  leave(): Promise<void> {
    return this.client.leave();
  }
}

let speakers = 0;

async function speakerOf(context: ServerContext, options: { readonly reads?: boolean } = {}): Promise<Speaker> {
  const client = context.bench.own(await Client.connect(context.address, options));
  return new Speaker(context, `client${++speakers}`, client);
}

/** Connects `count` clients at once. */
function speakersOf(context: ServerContext, count: number): Promise<Speaker[]> {
  return Promise.all(Array.from({ length: count }, () => speakerOf(context)));
}

/** How long a test waits to see that nothing arrives, ms: a server that did serve this client would reply within this time. */
const A_WHILE = 150;
const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, A_WHILE));

const untilOpen = (server: ModelServer, count: number): Promise<void> =>
  until(`${count} open connections`, async () => (await server.stats()).open === count);

/** The counters, less those of `before`. */
async function countedSince(before: ServerStats, server: ModelServer): Promise<Partial<ServerStats>> {
  const { accepted, open, bytesIn, bytesOut, rejected, lost, queued } = await server.stats();
  return {
    accepted: accepted - before.accepted,
    open,
    bytesIn: bytesIn - before.bytesIn,
    bytesOut: bytesOut - before.bytesOut,
    rejected: rejected - before.rejected,
    lost: lost - before.lost,
    queued,
  };
}

/** Connects `silent` clients that send nothing, and one more that sends requests. */
async function connectWithSilent(context: ServerContext, silent: number): Promise<[Speaker[], Speaker]> {
  const { accepted } = await context.server.stats();
  const quiet = await speakersOf(context, silent);
  await until('all accepted', async () => (await context.server.stats()).accepted - accepted === silent);
  const another = await speakerOf(context);
  another.client.write(another.prepare(1));
  return [quiet, another];
}

const cases: readonly Case<ServerContext>[] = [
  {
    name: 'R31 requests split at every byte, each in a write of its own, are answered as if whole',
    async run(context) {
      const speaker = await speakerOf(context);
      await speaker.client.writeByteByByte(speaker.prepare(2, 12));
      await speaker.answered();
      await speaker.leave();
    },
  },
  {
    name: 'R31 several requests in one write, then half of one, and its other half later',
    async run(context) {
      const speaker = await speakerOf(context);
      await speaker.exchange(20);
      const bytes = speaker.prepare(3);
      const half = Math.floor(bytes.length / 2);
      speaker.client.write(bytes.subarray(0, half));
      await new Promise((resolve) => setImmediate(resolve));
      speaker.client.write(bytes.subarray(half));
      await speaker.answered();
      await speaker.leave();
    },
  },
  {
    name: 'half-close: all requests sent before are answered before the end comes back',
    async run(context) {
      const speaker = await speakerOf(context);
      speaker.client.write(speaker.prepare(5));
      speaker.client.end();
      await speaker.client.over();
      assert.equal(speaker.client.error, null);
      await speaker.answered();
    },
  },
  {
    name: 'half-close behind 300 KiB: all of it comes back before the end',
    async run(context) {
      const speaker = await speakerOf(context);
      speaker.client.write(speaker.prepare(10, 30 << 10));
      speaker.client.end();
      await speaker.client.over();
      assert.equal(speaker.client.error, null);
      await speaker.answered();
    },
  },
  {
    name: 'a client that connects and leaves without a request is closed, and counted correctly',
    async run(context) {
      const before = await context.server.stats();
      await (await speakerOf(context)).leave();
      await untilOpen(context.server, 0);
      assert.deepEqual(await countedSince(before, context.server), {
        accepted: 1,
        open: 0,
        bytesIn: 0,
        bytesOut: 0,
        rejected: 0,
        lost: 0,
        queued: 0,
      });
    },
  },
  {
    name: 'a client that resets, with unanswered and incomplete requests: the next one is served',
    async run(context) {
      const { server } = context;
      const { accepted } = await server.stats();
      for (const [i, isReading] of [true, false].entries()) {
        const speaker = await speakerOf(context, { reads: isReading });
        speaker.client.write(speaker.prepare(8, 32 << 10).subarray(0, -5));
        await until('somebody has accepted it', async () => (await server.stats()).accepted > accepted + i);
        speaker.client.reset();
      }
      const next = await speakerOf(context);
      await next.exchange(3);
      await next.leave();
      await untilOpen(server, 0);
    },
  },
  {
    name: 'a client is served beside one that is connected and idle',
    needs: ['serves several at once'],
    async run(context) {
      const [[silent], another] = await connectWithSilent(context, 1);
      await another.answered();
      await another.exchange(3);
      await another.leave();
      await silent?.exchange();
      await silent?.leave();
    },
  },
  {
    name: 'as many idle clients as workers do not block the others',
    needs: ['serves beside silent clients'],
    async run(context) {
      const [silent, another] = await connectWithSilent(context, context.workers);
      await another.answered();
      await another.leave();
      await untilOpen(context.server, silent.length);
      await Promise.all(silent.map((one) => one.exchange()));
      await Promise.all(silent.map((one) => one.leave()));
    },
  },
  {
    name: 'as many idle clients as workers block all others, until one of them leaves (post 000)',
    needs: ['held up by silent clients'],
    async run(context) {
      const [silent, another] = await connectWithSilent(
        context,
        context.has('serves several at once') ? context.workers : 1,
      );
      await aWhile();
      assert.equal(another.client.length, 0, 'it is not served');
      await silent[0]?.leave();
      await another.answered();
      await another.leave();
      for (const one of silent.slice(1)) await one.leave();
    },
  },
  {
    name: 'hundreds of clients at once: each gets its reply while all others are connected',
    needs: ['hundreds at once'],
    async run(context) {
      const before = await context.server.stats();
      const all = await speakersOf(context, context.hundreds);
      await Promise.all(all.map((one) => one.exchange()));
      assert.equal((await context.server.stats()).open, all.length);
      await Promise.all(all.map((one) => one.leave()));
      await untilOpen(context.server, 0);
      assert.equal((await countedSince(before, context.server)).accepted, all.length);
    },
  },
  {
    name: 'a few clients at once: each gets its reply while all others are connected',
    needs: ['one started for each'],
    async run(context) {
      const all = await speakersOf(context, 8);
      await Promise.all(all.map((one) => one.exchange()));
      assert.equal((await context.server.stats()).open, all.length);
      await Promise.all(all.map((one) => one.leave()));
    },
  },
  {
    name: 'hundreds of clients at once that leave after their reply: all are served, some after the others',
    needs: ['a fixed number at once'],
    async run(context) {
      const before = await context.server.stats();
      const all = await speakersOf(context, context.hundreds);
      await Promise.all(
        all.map(async (one) => {
          await one.exchange();
          await one.leave();
        }),
      );
      await untilOpen(context.server, 0);
      const { accepted, lost } = await countedSince(before, context.server);
      assert.deepEqual({ accepted, lost }, { accepted: all.length, lost: 0 });
    },
  },
  {
    name: 'the counters are exact once everything is closed',
    async run(context) {
      const before = await context.server.stats();
      let bytesIn = 0;
      let bytesOut = 0;
      for (const [count, size] of [
        [1, 1],
        [7, 100],
        [3, 20_000],
      ] as const) {
        const speaker = await speakerOf(context);
        await speaker.exchange(count, size);
        await speaker.leave();
        await untilOpen(context.server, 0); // or the next member of a chat would receive its message as well
        bytesIn += speaker.asked;
        bytesOut += speaker.client.length;
      }
      assert.deepEqual(await countedSince(before, context.server), {
        accepted: 3,
        open: 0,
        bytesIn,
        bytesOut,
        rejected: 0,
        lost: 0,
        queued: 0,
      });
    },
  },
];

/** Cases of echo and rpc: a reply goes to the client that sent the request. */
const requestCases: readonly Case<ServerContext>[] = [
  {
    name: 'a client that sends 1 MiB before it reads gets it all when it reads',
    async run(context) {
      const { server } = context;
      const { bytesIn } = await server.stats();
      const slow = await speakerOf(context, { reads: false });
      slow.client.write(slow.prepare(16, 1 << 16));
      await until('the server has begun', async () => (await server.stats()).bytesIn > bytesIn);
      slow.client.read();
      await slow.answered();
      await slow.leave();
    },
  },
  {
    name: 'meanwhile, another client is served',
    needs: ['serves several at once'],
    async run(context) {
      const slow = await speakerOf(context, { reads: false });
      slow.client.write(slow.prepare(16, 1 << 16));
      const another = await speakerOf(context);
      for (let i = 0; i < 3; i++) await another.exchange(2);
      slow.client.read();
      await slow.answered();
      await another.leave();
      await slow.leave();
    },
  },
];

const rpcCases: readonly Case<ServerContext>[] = [
  {
    name: 'R31 an invalid request is answered with an error, and the next request is served',
    async run(context) {
      const speaker = await speakerOf(context);
      for (const [request, why] of [
        [Buffer.from([3, 0, 0, 0, 1, 2, 3]), /JSON/],
        [Buffer.alloc(4), /JSON/],
        [rpcRequest('no such method'), /no method/],
        [rpcRequest(7), /a request is/],
        [rpcRequest('sleep', 'long'), /milliseconds/],
      ] as const) {
        const answers = framesOf(speaker.client.bytes).length;
        speaker.client.write(request);
        await speaker.client.receivedWhere('an answer', (bytes) => framesOf(bytes).length > answers);
        const { out, result } = JSON.parse(framesOf(speaker.client.bytes).at(-1) ?? '') as {
          out: string;
          result: string;
        };
        assert.equal(out, 'error');
        assert.match(result, why);
      }
      const { length } = speaker.client;
      speaker.client.write(rpcRequest('ping', 'still here'));
      const answer = rpcAnswer('pong', 'still here');
      await speaker.client.received(length + answer.length);
      assert.deepEqual(speaker.client.bytes.subarray(length), answer);
      await speaker.leave();
    },
  },
  {
    name: 'R31 an impossible length: the requests before it are answered, then the connection ends; others are served',
    async run(context) {
      const speaker = await speakerOf(context);
      speaker.client.write(speaker.prepare(2));
      speaker.client.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7b]));
      await speaker.client.over();
      assert.equal(speaker.client.error, null);
      await speaker.answered();
      speaker.client.write(Buffer.alloc(100_000)); // sent after the server has closed the connection: ignored
      await speaker.leave();
      const next = await speakerOf(context);
      await next.exchange();
      await next.leave();
    },
  },
];

/** The order of the replies to a long request and a short one that are sent together. */
async function answersOfSlowAndFast(context: ServerContext, ms = 150): Promise<string[]> {
  const { client } = await speakerOf(context);
  client.write(Buffer.concat([rpcRequest('sleep', ms), rpcRequest('ping', 'fast')]));
  await client.receivedWhere('two answers', (bytes) => framesOf(bytes).length === 2);
  return framesOf(client.bytes).map((body) => (JSON.parse(body) as { out: string }).out);
}

const orderCases: readonly Case<ServerContext>[] = [
  {
    name: 'R29 replies keep the order of the requests, though the first one takes long',
    needs: ['answers in order'],
    async run(context) {
      assert.deepEqual(await answersOfSlowAndFast(context), ['slept', 'pong']);
    },
  },
  {
    name: 'R29 a long request is answered after the one behind it (post 003)',
    needs: ['answers as they are done'],
    async run(context) {
      // Each request has its own thread. On a busy machine the second one may start after the first one has slept: then the first one sleeps
      // for longer. A server that replies in order fails whatever the time.
      let answers: string[] = [];
      for (let ms = 500; ms <= 16_000 && answers[0] !== 'pong'; ms *= 2)
        answers = await answersOfSlowAndFast(context, ms);
      assert.deepEqual(answers, ['pong', 'slept']);
    },
  },
];

/** More bytes than the buffers of a connection hold, on both sides. */
const MORE_THAN_BUFFERED = 24 << 20;

const chatCases: readonly Case<ServerContext>[] = [
  {
    name: 'chat: every member receives every message, in the same order; a member that has left receives none',
    async run(context) {
      const members = await speakersOf(context, 5);
      const [ann, bob, eve] = members as [Speaker, Speaker, Speaker];
      // A client is a member once a message of its has arrived: until then its connection may wait to be accepted.
      for (const member of members) await member.exchange();
      const last = `[${members.at(-1)?.name}] `;
      for (const { client } of members) await client.receivedWhere('the last one', (bytes) => bytes.includes(last));
      const since = new Map(members.map(({ client }) => [client, client.length]));
      const said = (client: Client): string => client.bytes.toString('utf8', since.get(client));
      for (const speaker of [ann, bob, eve, ann]) {
        const line = `${JSON.stringify({ user: speaker.name, text: 'grüße' })}\n`;
        speaker.client.write(Buffer.from(line));
      }
      const lines = (client: Client): string[] => said(client).split('\n').slice(0, -1);
      for (const { client } of members) await client.receivedWhere('four lines', () => lines(client).length === 4);
      for (const { client } of members) assert.equal(said(client), said(ann.client));
      assert.deepEqual(
        lines(ann.client).toSorted(),
        [ann, ann, bob, eve].map(({ name }) => `[${name}] grüße`).toSorted(),
      );
      await eve.leave();
      const { length } = eve.client;
      await untilOpen(context.server, members.length - 1);
      await bob.client.receivedWhere('four lines', () => lines(bob.client).length === 4);
      const late = `${JSON.stringify({ user: ann.name, text: 'is eve gone?' })}\n`;
      ann.client.write(Buffer.from(late));
      await bob.client.receivedWhere('a fifth', () => lines(bob.client).length === 5);
      assert.equal(eve.client.length, length);
    },
  },
  {
    name: 'chat: a member that resets leaves the room, and the others go on',
    async run(context) {
      const [ann, bob] = (await speakersOf(context, 2)) as [Speaker, Speaker];
      await ann.exchange();
      await bob.exchange();
      bob.client.reset();
      await untilOpen(context.server, 1);
      await ann.exchange(5);
      await ann.leave();
    },
  },
  {
    name: 'chat: an invalid message is answered with help, to its sender alone; a line that is too long closes its sender',
    async run(context) {
      const [ann, bob] = (await speakersOf(context, 2)) as [Speaker, Speaker];
      await ann.exchange();
      await bob.exchange();
      ann.client.write(Buffer.from('nonsense\n'));
      await ann.client.receivedWhere('help', (bytes) => bytes.includes('a message is a line like'));
      ann.client.write(Buffer.alloc(70_000, 'x'));
      await ann.client.over();
      assert.equal(ann.client.error, null);
      await bob.exchange();
      assert.ok(!bob.client.bytes.includes('a message is'));
      ann.client.close();
      await bob.leave();
    },
  },
  {
    name: 'chat: a member that never reads is closed when its output grows too large, and the others go on',
    async run(context) {
      const [ann, bob] = (await speakersOf(context, 2)) as [Speaker, Speaker];
      await ann.exchange();
      const deaf = await speakerOf(context, { reads: false });
      await untilOpen(context.server, 3);
      const text = 'x'.repeat(60_000);
      const line = Buffer.from(`${JSON.stringify({ user: 'a', text })}\n`);
      for (
        let sent = 0;
        sent < MORE_THAN_BUFFERED && (await context.server.stats()).open === 3;
        sent += 8 * text.length
      ) {
        const { length } = ann.client;
        for (let i = 0; i < 8; i++) ann.client.write(line);
        await ann.client.received(length + 8 * (text.length + '[a] \n'.length));
      }
      await untilOpen(context.server, 2);
      await bob.exchange();
      deaf.client.read();
      await deaf.client.over();
      assert.ok(deaf.client.isClosed || deaf.client.hasEnded);
      deaf.client.close();
      await ann.leave();
      await bob.leave();
    },
  },
];

export const serverCases: Readonly<Record<ApplicationName, readonly Case<ServerContext>[]>> = {
  echo: [...cases, ...requestCases],
  rpc: [...cases, ...requestCases, ...rpcCases, ...orderCases],
  chat: [...cases, ...chatCases],
};
