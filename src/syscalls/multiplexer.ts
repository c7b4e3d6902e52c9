/**
 * One mechanism's wait, as the selectors and the loops use it (native/core/multiplexer.h): it is told what to watch, and each wait then
 * says which of that is ready. Its records are in memory that JavaScript and C++ share for good, so that a wait is a call with one number.
 */
import type { NativeWait } from '../addon.js';
import { native } from '../native.js';
import { type ReadinessMechanism, mechanismUnavailable } from './probe.js';

const { READY_FIELDS } = native;

const FIRST_RECORDS = 64;

function memoryOf(records: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(records * READY_FIELDS * Int32Array.BYTES_PER_ELEMENT));
}

export class Multiplexer {
  /** For a Turn. */
  readonly native: NativeWait;
  /** Which of its selector's changes it knows of. */
  knows = -1;
  #numbers = memoryOf(FIRST_RECORDS);

  /** @throws ERR_UNAVAILABLE */
  constructor(mechanism: ReadinessMechanism) {
    const make = native.multiplexers[mechanism];
    if (make === undefined) throw mechanismUnavailable(mechanism);
    this.native = make();
  }

  /** How many records a wait has room for. */
  get room(): number {
    return this.#numbers.length / READY_FIELDS;
  }

  /**
   * What is waited for from now on.
   * @param set the descriptor of epoll or kqueue
   * @param pairs of select and poll: [descriptor, POLLIN | POLLOUT]
   * @param records there is room for as many from now on, at least
   * @returns 0, or a negative error: EINVAL where fd_set cannot hold one of them
   */
  watch(set: number, pairs: Int32Array, records: number): number {
    if (records > this.room) this.#numbers = memoryOf(2 * records);
    return native.prepareWait(this.native, set, pairs, pairs.length / 2, this.#numbers);
  }

  /** @returns how many records there are, or a negative error. @param timeout milliseconds; negative: for ever */
  wait(timeout: number): number {
    return this.native(timeout);
  }

  fd(record: number): number {
    return this.#numbers[record * READY_FIELDS] as number;
  }

  /** What the descriptor was registered with; 0 where the mechanism does not say. */
  generation(record: number): number {
    return this.#numbers[record * READY_FIELDS + 1] as number;
  }

  /** 1: readable, 2: writable. */
  events(record: number): number {
    return this.#numbers[record * READY_FIELDS + 2] as number;
  }

  /** Of a turn: how many bytes were received, a negative error, or NOT_RECEIVED. */
  received(record: number): number {
    return this.#numbers[record * READY_FIELDS + 3] as number;
  }

  /** Of a turn: where they are. */
  place(record: number): number {
    return this.#numbers[record * READY_FIELDS + 4] as number;
  }

  /** A record that no wait has written. */
  setRecord(record: number, fd: number, events: number): void {
    this.#numbers[record * READY_FIELDS] = fd;
    this.#numbers[record * READY_FIELDS + 1] = 0;
    this.#numbers[record * READY_FIELDS + 2] = events;
  }

  /** Of that many records, nothing was received. */
  notReceived(records: number): void {
    for (let record = 0; record < records; record++) this.#numbers[record * READY_FIELDS + 3] = native.NOT_RECEIVED;
  }
}
