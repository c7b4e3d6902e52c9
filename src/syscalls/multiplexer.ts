/**
 * The wait of one mechanism, for selectors and loops (native/core/multiplexer.h): watch() passes it the descriptors, and each wait reports
 * the ready ones. The system call itself is in native/mechanisms/: epoll_wait in epoll.cc. Records are in memory that JavaScript and C++
 * share, so a wait is a call with one number.
 */
import type { NativeWait } from '../addon.js';
import { native } from '../native.js';
import { type ReadinessMechanism, mechanismUnavailable } from './probe.js';

const { READY_FIELDS } = native;

const FIRST_RECORDS = 64;

function memoryOf(records: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(records * READY_FIELDS * Int32Array.BYTES_PER_ELEMENT));
}

/** Waits with one mechanism, and holds the records of its last wait. */
export class Multiplexer {
  /** For a NativeTurn. */
  readonly native: NativeWait;
  /** The number of its selector's changes that it was prepared for; -1: none. For WatchSet.prepare(). */
  preparedFor = -1;
  #numbers = memoryOf(FIRST_RECORDS);

  /** @throws ERR_UNAVAILABLE */
  constructor(mechanism: ReadinessMechanism) {
    const make = native.multiplexers[mechanism];
    if (make === undefined) throw mechanismUnavailable(mechanism);
    this.native = make();
  }

  /** Maximum number of records per wait. */
  get capacity(): number {
    return this.#numbers.length / READY_FIELDS;
  }

  /**
   * Sets what the following waits watch.
   * @param set epoll, kqueue and devpoll: their descriptor; AFD: its handle
   * @param pairs select and poll: [descriptor, POLLIN | POLLOUT] each
   * @param records minimum capacity from now on
   * @returns 0, or a negative error: EINVAL if fd_set cannot hold a descriptor
   */
  watch(set: number, pairs: Int32Array, records: number): number {
    if (records > this.capacity) this.#numbers = memoryOf(2 * records);
    return native.prepareWait(this.native, set, pairs, pairs.length / 2, this.#numbers);
  }

  /** Waits. @param timeout milliseconds; negative: no timeout. @returns the number of records, or a negative error */
  wait(timeout: number): number {
    return this.native(timeout);
  }

  /** The ready descriptor. */
  fd(record: number): number {
    return this.#numbers[record * READY_FIELDS] as number;
  }

  /** The generation that the descriptor was registered with; 0: devpoll, poll, select, and the wake channel. */
  generation(record: number): number {
    return this.#numbers[record * READY_FIELDS + 1] as number;
  }

  /** 1: readable, 2: writable. */
  events(record: number): number {
    return this.#numbers[record * READY_FIELDS + 2] as number;
  }

  /** After a turn: the number of bytes received, a negative error, or NOT_RECEIVED. */
  received(record: number): number {
    return this.#numbers[record * READY_FIELDS + 3] as number;
  }

  /** After a turn: where the bytes are, see ReceiveBatch.chunk(). */
  place(record: number): number {
    return this.#numbers[record * READY_FIELDS + 4] as number;
  }

  /** Writes a record, of generation 0, that no wait has reported. */
  setRecord(record: number, fd: number, events: number): void {
    this.#numbers[record * READY_FIELDS] = fd;
    this.#numbers[record * READY_FIELDS + 1] = 0;
    this.#numbers[record * READY_FIELDS + 2] = events;
  }

  /** Marks the first `records` records as NOT_RECEIVED. */
  markNotReceived(records: number): void {
    for (let record = 0; record < records; record++) this.#numbers[record * READY_FIELDS + 3] = native.NOT_RECEIVED;
  }
}
