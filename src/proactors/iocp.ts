/**
 * The proactor over an I/O completion port, Windows.
 *
 * The kernel carries out the operations; this class interprets their completion packets. A handle is associated with the port at its first
 * operation, and with no other port until it is closed. So when the proactor is closed, its port is kept while such handles are open, and the
 * next proactor takes it over: their sockets work with that one. CancelIoEx cancels an operation, which completes all the same. Files of
 * Node's fs are not open for overlapped I/O, and are opened once more for each operation (ReOpenFile).
 */
import { constants } from 'node:os';
import { check, checkReleased, systemErrorName } from '../errors.js';
import type { NativeIocp } from '../addon.js';
import { iocpCalls, native } from '../native.js';
import { getIntOption } from '../net/sockopt.js';
import { mechanismUnavailable, probe } from '../syscalls/probe.js';
import { fieldsOf, wholeNumber } from '../validate.js';
import type { Interest } from '../wait/async-wait.js';
import { BaseProactor } from './base.js';
import { CANCELED, type Completion, type Request } from './operation.js';

/** Options of an IocpProactor. */
export interface IocpProactorOptions {
  /** How many threads may handle packets at a time, 0 to 2^31 - 1. Default: 0, as many as there are processors. */
  readonly concurrency?: number;
}

type AcceptRequest = Extract<Request, { readonly kind: 'accept' }>;

/** Packets per call. */
const MAX_PACKETS = 64;
/** The largest sockaddr (sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** Milliseconds that closing a socket waits for the end of its cancelled operations, which comes at once. */
const CANCEL_TIMEOUT = 1000;
/** Clients that one accept() skips because they have disconnected, one after the other. */
const MAX_DISCARDED = 1000;
const { SOCK_STREAM = 1, SO_TYPE = 0x1008, SO_ACCEPTCONN = 2 } = native.constants;
const { WSAEINVAL, WSAEOPNOTSUPP } = constants.errno;
const NO_PAIRS = new Int32Array(0);

/** Errors of an accept whose client has disconnected before it was accepted: the next client is accepted (python/cpython#93821). */
const CLIENT_ERRORS = new Set(['ECONNRESET', 'ECONNABORTED', 'ENOTCONN', 'ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH']);
/** Errors of an operation that was cancelled, or whose socket was closed; versions of Windows differ, and Wine. */
const CANCEL_ERRORS = new Set(['ECANCELED', 'ECONNABORTED', 'EBADF', 'ENOTSOCK', 'EINTR', 'UNKNOWN']);

/** The proactor over an I/O completion port, Windows. */
export class IocpProactor extends BaseProactor {
  /** Always 'iocp'. */
  readonly mechanism = 'iocp';
  /** The kernel moves the bytes. */
  readonly isNative = true;
  /** A number that another thread passes to the function `wakeup` to end a wait. */
  readonly wakeupHandle: number;

  readonly #port: NativeIocp;
  readonly #interest: Interest;
  /** Accepts under way: they are started again where their client disconnects. */
  readonly #accepts = new Map<number, AcceptRequest>();
  readonly #rows: Float64Array;

  /** true on Windows. */
  static override get isAvailable(): boolean {
    return probe('iocp').available;
  }

  /** @throws ERR_UNAVAILABLE elsewhere than on Windows; ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
  constructor(options?: IocpProactorOptions) {
    super();
    if (iocpCalls === undefined) throw mechanismUnavailable('iocp');
    const asked = options === undefined ? undefined : fieldsOf('options', options, ['concurrency']).concurrency;
    const concurrency = asked === undefined ? 0 : wholeNumber('concurrency', asked, 0, 0x7fff_ffff);
    this.#port = new iocpCalls.Iocp();
    check(this.#port.open(concurrency, true), 'CreateIoCompletionPort');
    this.wakeupHandle = this.#port.wakeHandle();
    this.#interest = { useSelect: false, pairs: NO_PAIRS, handle: this.wakeupHandle };
    this.#rows = new Float64Array(MAX_PACKETS * iocpCalls.IOCP_ROW);
  }

  // --------------------------------------------------------------------------------------------------------- starting

  protected override submit(id: number, request: Request): void {
    if (request.kind === 'timeout') return this.startTimer(id, request.ms);
    if (request.kind === 'accept') return this.#accept(id, request);
    if (request.kind === 'connect' && !isStream(request.fd)) return this.#connectDatagram(id, request);
    const result = this.#start(id, request);
    if (result < 0) this.completeSoon({ id, ...outcomeOf(result, request.kind) });
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

  /** @internal */
  override dropStale(): boolean {
    return false; // an operation holds the file itself, not its number
  }

  /** @internal */
  override admit(fd: number): void {
    check(this.#associate(fd), 'CreateIoCompletionPort');
  }

  /** @returns 0, or a negative error; EINVAL: another port has it */
  #associate(fd: number): number {
    return this.#port.isAssociated(fd) ? 0 : this.#port.associate(fd, 0);
  }

  #accept(id: number, request: AcceptRequest): void {
    let result = refusalOf(request.fd) || this.#associate(request.fd);
    for (
      let tries = 0;
      result === 0 || (CLIENT_ERRORS.has(systemErrorName(result)) && tries < MAX_DISCARDED);
      tries++
    ) {
      const accepting = native.socket(request.family, SOCK_STREAM, 0);
      result = accepting < 0 ? accepting : this.#port.acceptEx(id, request.fd, accepting, true);
      if (result === 0) return void this.#accepts.set(id, request);
    }
    this.completeSoon({ id, result });
  }

  /** A datagram socket only gets a peer; ConnectEx is for streams. */
  #connectDatagram(id: number, { fd, sockaddr }: Extract<Request, { readonly kind: 'connect' }>): void {
    this.completeSoon({ id, result: native.connect(fd, sockaddr) });
  }

  protected override requestCancel(id: number): void {
    // An operation that is over already completes by its own packet.
    this.#port.cancel(id);
  }

  /** @internal While the socket is open, Winsock still reports the results of its operations, and an accepted connection can be taken. */
  override flushCancels(): void {
    this.#port.fetchCancelled(CANCEL_TIMEOUT);
  }

  // ------------------------------------------------------------------------------------------------------- collecting

  protected override collect(timeout: number, done: Completion[]): boolean {
    const { IOCP_ROW, IOCP_WOKEN } = calls();
    const count = this.#port.getQueuedCompletionStatusEx(this.#rows, MAX_PACKETS, timeout);
    let woken = false;
    for (let row = 0; row < check(count, 'GetQueuedCompletionStatusEx'); row++) {
      const [, value = 0, id = 0, error = 0, flags = 0] = this.#rows.subarray(row * IOCP_ROW, (row + 1) * IOCP_ROW);
      if (id === IOCP_WOKEN) woken = true;
      // Other values are packets of other origin.
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
      else if (!wasCancelled && CLIENT_ERRORS.has(name)) return this.#accept(id, request);
    }
    if (wasCancelled && CANCEL_ERRORS.has(name)) done.push({ id, result: CANCELED });
    else if (request !== undefined && packet.error === 0)
      done.push({ id, result: value, sockaddr: this.#senderOf(row) });
    else done.push({ id, ...this.#outcome(row, packet) });
  }

  #outcome(row: number, { value, error, flags }: Packet): Omit<Completion, 'id'> {
    const { IOCP_RECEIVED, IOCP_HAS_SENDER } = calls();
    if ((flags & IOCP_RECEIVED) === 0) return { result: error === 0 ? value : error };
    const meaning = error === 0 ? { result: value } : outcomeOf(error, 'recv', value);
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
    // close() has waited for operations that are left: do not wait again.
    checkReleased(this.#port.close(left > 0 ? 0 : CANCEL_TIMEOUT));
  }
}

/** A row of the port, without its key. */
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

/** An error of a packet. Some are results: a datagram that was cut, the end of a file, a pipe whose writer is closed. */
function outcomeOf(error: number, kind: Request['kind'], received = 0): Omit<Completion, 'id'> {
  if (kind !== 'recv' && kind !== 'recvFrom' && kind !== 'read') return { result: error };
  const name = systemErrorName(error);
  if (name === 'EMSGSIZE') return { result: received };
  return name === 'EOF' || name === 'EPIPE' ? { result: 0, data: Buffer.alloc(0) } : { result: error };
}

/** The error of accept(2) for a socket that cannot accept; 0: it can. Winsock reports it late, or never: Wine 8 waits for a client. */
function refusalOf(fd: number): number {
  if (!isStream(fd)) return -WSAEOPNOTSUPP;
  const listens = getIntOption(fd, SO_ACCEPTCONN);
  if (listens < 0) return listens;
  return listens === 0 ? -WSAEINVAL : 0;
}

/** true also for what is no socket: the call itself fails then. */
function isStream(fd: number): boolean {
  const type = getIntOption(fd, SO_TYPE);
  return type < 0 || type === SOCK_STREAM;
}
