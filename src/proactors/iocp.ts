/**
 * The proactor over an I/O completion port, Windows.
 *
 * The kernel carries the operations out; this class knows what their packets mean. A handle is associated with the port at its first
 * operation, and stays so until it is closed: no other port can have it. When the proactor is closed, its port is kept while such handles are
 * open, and the next proactor takes it over: so their sockets can go on with that one. An operation is given up by CancelIoEx, and comes back all the
 * same. Files of Node's fs are not open for overlapped I/O, and are opened once more for each operation (ReOpenFile).
 */
import { constants } from 'node:os';
import { check, checkLetGo, systemErrorName } from '../errors.js';
import type { NativeIocp } from '../addon.js';
import { iocpCalls, native } from '../native.js';
import { getIntOption } from '../net/sockopt.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseProactor } from './base.js';
import { CANCELED, type Completion, type Request } from './operation.js';

export interface IocpProactorOptions {
  /** How many threads may handle packets at a time; 0, and nothing said: as many as there are processors. */
  readonly concurrency?: number;
}

type AcceptRequest = Extract<Request, { readonly kind: 'accept' }>;

/** Packets a call. */
const ROOM = 64;
/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** How long the closing of a socket waits for its operations to be given up, in milliseconds. They are, at once. */
const LONGEST_LETTING_GO = 1000;
/** How many clients that have come and gone one accept() passes over at a stretch. */
const MOST_VANISHED = 1000;
const { SOCK_STREAM = 1, SO_TYPE = 0x1008, SO_ACCEPTCONN = 2 } = native.constants;
const { WSAEINVAL, WSAEOPNOTSUPP } = constants.errno;
const NO_PAIRS = new Int32Array(0);

/** What an accept is told of a client that has gone before it was accepted. It costs that client, and nobody else (python/cpython#93821). */
const VANISHED = new Set(['ECONNRESET', 'ECONNABORTED', 'ENOTCONN', 'ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH']);
/** What a cancelled operation, or one whose socket was closed, may be told; Windows' versions differ, and Wine. */
const GIVEN_UP = new Set(['ECANCELED', 'ECONNABORTED', 'EBADF', 'ENOTSOCK', 'EINTR', 'UNKNOWN']);

export class IocpProactor extends BaseProactor {
  readonly mechanism = 'iocp';
  readonly isNative = true;
  readonly wakeupHandle: number;

  readonly #port: NativeIocp;
  readonly #interest: Interest;
  /** Accepts under way: they may have to begin again. */
  readonly #accepts = new Map<number, AcceptRequest>();
  readonly #rows: Float64Array;

  static override get isAvailable(): boolean {
    return probe('iocp').available;
  }

  /** @throws ERR_UNAVAILABLE elsewhere than on Windows */
  constructor(options?: IocpProactorOptions) {
    super();
    if (iocpCalls === undefined) throw mechanismUnavailable('iocp');
    const asked = options === undefined ? undefined : fieldsOf('options', options, ['concurrency']).concurrency;
    const concurrency = asked === undefined ? 0 : wholeNumber('concurrency', asked, 0, 0x7fff_ffff);
    this.#port = new iocpCalls.Iocp();
    check(this.#port.open(concurrency, true), 'CreateIoCompletionPort');
    this.wakeupHandle = this.#port.wakeHandle();
    this.#interest = { useSelect: false, pairs: NO_PAIRS, handle: this.wakeupHandle };
    this.#rows = new Float64Array(ROOM * iocpCalls.IOCP_ROW);
  }

  // --------------------------------------------------------------------------------------------------------- starting

  protected override submit(id: number, request: Request): void {
    if (request.kind === 'timeout') return this.startTimer(id, request.ms);
    if (request.kind === 'accept') return this.#accept(id, request);
    if (request.kind === 'connect' && !isStream(request.fd)) return this.#connectDatagram(id, request);
    const result = this.#start(id, request);
    if (result < 0) this.completeSoon({ id, ...whatItMeans(result, request.kind) });
  }

  #start(id: number, request: Exclude<Request, { readonly kind: 'timeout' | 'accept' }>): number {
    const port = this.#port;
    if (request.kind === 'read') return port.readDescriptor(id, request.fd, request.size, request.position);
    if (request.kind === 'write') return port.writeDescriptor(id, request.fd, request.bytes, request.position);
    const associated = this.#associate(request.fd);
    if (associated < 0) return associated;
    switch (request.kind) {
      case 'connect':
        return port.connectEx(id, request.fd, request.sockaddr);
      case 'recv':
        return port.wsaRecv(id, request.fd, request.size);
      case 'recvFrom':
        return port.wsaRecvFrom(id, request.fd, request.size);
      case 'send':
        return port.wsaSend(id, request.fd, request.bytes);
      case 'sendTo':
        return port.wsaSendTo(id, request.fd, request.bytes, request.sockaddr);
    }
  }

  override dropStale(): boolean {
    return false; // an operation holds the file itself, not its number
  }

  override admit(fd: number): void {
    check(this.#associate(fd), 'CreateIoCompletionPort');
  }

  /** EINVAL where another port has it. */
  #associate(fd: number): number {
    return this.#port.isAssociated(fd) ? 0 : this.#port.associate(fd, 0);
  }

  #accept(id: number, request: AcceptRequest): void {
    let result = refusalOf(request.fd) || this.#associate(request.fd);
    for (let tries = 0; result === 0 || (VANISHED.has(systemErrorName(result)) && tries < MOST_VANISHED); tries++) {
      const accepting = native.socket(request.family, SOCK_STREAM, 0);
      result = accepting < 0 ? accepting : this.#port.acceptEx(id, request.fd, accepting, true);
      if (result === 0) return void this.#accepts.set(id, request);
    }
    this.completeSoon({ id, result });
  }

  /** Of a datagram socket it only sets the peer, and ConnectEx is not for it. */
  #connectDatagram(id: number, { fd, sockaddr }: Extract<Request, { readonly kind: 'connect' }>): void {
    this.completeSoon({ id, result: native.connect(fd, sockaddr) });
  }

  protected override requestCancel(id: number): void {
    // What is not under way any more completes without that: its packet is there.
    this.#port.cancel(id);
  }

  /** @internal While the socket is open Winsock still says what became of its operations, and a connection just accepted can be had. */
  override flushCancels(): void {
    this.#port.fetchCancelled(LONGEST_LETTING_GO);
  }

  // ------------------------------------------------------------------------------------------------------- collecting

  protected override collect(timeout: number, done: Completion[]): boolean {
    const { IOCP_ROW, IOCP_WOKEN } = calls();
    const count = this.#port.getQueuedCompletionStatusEx(this.#rows, ROOM, timeout);
    let woken = false;
    for (let row = 0; row < check(count, 'GetQueuedCompletionStatusEx'); row++) {
      const [, value = 0, id = 0, error = 0, flags = 0] = this.#rows.subarray(row * IOCP_ROW, (row + 1) * IOCP_ROW);
      if (id === IOCP_WOKEN) woken = true;
      // Others that are no ids are packets that nobody has asked for.
      else if (id > 0) this.#complete(row, { id, value, error, flags }, done);
    }
    return woken;
  }

  #complete(row: number, packet: Packet, done: Completion[]): void {
    const { IOCP_CANCELLED } = calls();
    const { id, value } = packet;
    const wasCancelled = (packet.flags & IOCP_CANCELLED) !== 0;
    const name = packet.error === 0 ? '' : systemErrorName(packet.error);
    const request = this.#accepts.get(id);
    if (request !== undefined) {
      this.#accepts.delete(id);
      if (packet.error === 0) native.setNonBlocking(value, request.nonBlocking);
      else if (!wasCancelled && VANISHED.has(name)) return this.#accept(id, request);
    }
    if (wasCancelled && GIVEN_UP.has(name)) done.push({ id, result: CANCELED });
    else if (request !== undefined && packet.error === 0)
      done.push({ id, result: value, sockaddr: this.#senderOf(row) });
    else done.push({ id, ...this.#outcome(row, packet) });
  }

  #outcome(row: number, { value, error, flags }: Packet): Omit<Completion, 'id'> {
    const { IOCP_RECEIVED, IOCP_HAS_SENDER } = calls();
    if ((flags & IOCP_RECEIVED) === 0) return { result: error === 0 ? value : error };
    const meaning = error === 0 ? { result: value } : whatItMeans(error, 'recv', value);
    if (meaning.result < 0) return meaning;
    const memory = Buffer.allocUnsafe(meaning.result);
    const data = memory.subarray(0, this.#port.received(row, memory));
    if ((flags & IOCP_HAS_SENDER) === 0) return { result: data.length, data };
    return { result: data.length, data, sockaddr: this.#senderOf(row) };
  }

  #senderOf(row: number): Uint8Array {
    const sockaddr = new Uint8Array(SOCKADDR_SIZE);
    return sockaddr.subarray(0, this.#port.sender(row, sockaddr));
  }

  // ----------------------------------------------------------------------------------------------------------- waiting

  protected override interest(): Interest {
    return this.#interest;
  }

  protected override signalWakeup(): void {
    native.wakeup(this.wakeupHandle);
  }

  protected override closeMechanism(left: number): void {
    // Whoever has waited in vain does not wait again.
    checkLetGo(this.#port.close(left > 0 ? 0 : LONGEST_LETTING_GO));
  }
}

/** A row of the port's, but for its key. */
interface Packet {
  readonly id: number;
  readonly value: number;
  readonly error: number;
  readonly flags: number;
}

function calls() {
  if (iocpCalls === undefined) throw mechanismUnavailable('iocp');
  return iocpCalls;
}

/** Winsock's and Windows' errors that are none: a datagram that was cut off, the end of a file, a pipe whose writer has gone. */
function whatItMeans(error: number, kind: Request['kind'], received = 0): Omit<Completion, 'id'> {
  if (kind !== 'recv' && kind !== 'recvFrom' && kind !== 'read') return { result: error };
  const name = systemErrorName(error);
  if (name === 'EMSGSIZE') return { result: received };
  return name === 'EOF' || name === 'EPIPE' ? { result: 0, data: Buffer.alloc(0) } : { result: error };
}

/** What accept(2) would say to it. Winsock's own answer comes late, or never: Wine 8 waits for a client of what does not listen. */
function refusalOf(fd: number): number {
  if (!isStream(fd)) return -WSAEOPNOTSUPP;
  const listens = getIntOption(fd, SO_ACCEPTCONN);
  if (listens < 0) return listens;
  return listens === 0 ? -WSAEINVAL : 0;
}

/** true also for what is no socket: the call itself says so. */
function isStream(fd: number): boolean {
  const type = getIntOption(fd, SO_TYPE);
  return type < 0 || type === SOCK_STREAM;
}
