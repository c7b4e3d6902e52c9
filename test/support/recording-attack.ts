/** native.Recording and native.recordInFile: memory that is not a trace’s, has invalid contents, or is detached. For attackAddon(). */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { types } from 'node:util';
import { detached } from './bad-values.js';
import { temporaryFolder } from './folders.js';

type Callable = (...args: readonly unknown[]) => unknown;
type Strike = (what: string, call: () => unknown, mustThrow: boolean) => void;

interface Recording {
  start(memory: unknown): number;
  stop(): void;
}
export interface RecordingAddon {
  readonly Recording: new () => Recording;
  readonly recordInFile: (path: string, size: number) => number;
  readonly isOpen: (fd: number) => number;
  readonly TRACE_HEADER_SIZE: number;
  readonly TRACE_RECORD_SIZE: number;
  readonly TRACE_MAGIC: number;
}

// TypeScript declares it for browsers only.
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
  };
};

const NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 16, 1000, 2 ** 16, 2 ** 30, 2 ** 31, 2 ** 32 - 1];
const GUARD = 1024;
const CANARY = 0xa5;

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
/** The memory that Recording.start() accepts: any other could be detached. Some objects pretend to be such memory. */
export const isSharedBytes = (value: unknown): boolean =>
  types.isUint8Array(value) && types.isSharedArrayBuffer(Reflect.get(typedArray, 'buffer', value));

/** Memory of a trace, between two guards that must stay unchanged. */
class Guarded {
  readonly bytes: Uint8Array;
  readonly numbers: Uint32Array;
  readonly #whole: Uint8Array;

  constructor({ TRACE_HEADER_SIZE, TRACE_RECORD_SIZE, TRACE_MAGIC }: RecordingAddon, capacity: number, places: number) {
    const size = TRACE_HEADER_SIZE + places * TRACE_RECORD_SIZE;
    const buffer = new SharedArrayBuffer(size + 2 * GUARD);
    this.#whole = new Uint8Array(buffer).fill(CANARY);
    this.bytes = new Uint8Array(buffer, GUARD, size).fill(0);
    this.numbers = new Uint32Array(buffer, GUARD, size / Uint32Array.BYTES_PER_ELEMENT);
    this.numbers[4] = capacity;
    this.numbers[5] = TRACE_MAGIC;
  }

  get isWhole(): boolean {
    const { byteOffset, byteLength } = this.bytes;
    const outside = [this.#whole.subarray(0, byteOffset), this.#whole.subarray(byteOffset + byteLength)];
    return outside.every((bytes) => bytes.every((byte) => byte === CANARY));
  }
}

/** The format of Recording.start(). */
export const traceMemory = (native: RecordingAddon): Uint8Array => new Guarded(native, 4, 4).bytes;

export function attackRecording(
  native: RecordingAddon,
  strike: Strike,
  complain: (what: string) => unknown,
  attackBytes: (name: string, call: Callable) => void,
): void {
  const { TRACE_HEADER_SIZE, TRACE_RECORD_SIZE } = native;
  const call = (): void => {
    for (let i = 0; i < 10; i++) native.isOpen(500_000 + i);
  };
  /** Whether it starts. Checks that a started recording writes only to its memory. */
  const record = (
    what: string,
    memory: Guarded,
    meanwhile: () => void = () => undefined,
    view = memory.bytes,
  ): boolean => {
    const recording = new native.Recording();
    let begun = false;
    strike(
      what,
      () => {
        begun = recording.start(view) === 0;
        call();
        meanwhile();
        call();
        recording.stop();
        if (!memory.isWhole) complain(`${what}: wrote outside of the memory that it was given`);
      },
      false,
    );
    return begun;
  };

  attackBytes('Recording.start', (...args) => {
    const recording = new native.Recording();
    try {
      return recording.start(args[0]);
    } finally {
      recording.stop();
    }
  });
  for (const capacity of NUMBERS) {
    for (const places of [0, 1, 2, 3, 4, 8, 100]) {
      const what = `Recording.start, ${places} places that say they are ${capacity}`;
      const isGood = capacity > 0 && (capacity & (capacity - 1)) === 0 && capacity <= places;
      if (record(what, new Guarded(native, capacity, places)) !== isGood)
        complain(`${what}: ${isGood ? 'refused' : 'taken'}`);
    }
  }
  for (let length = 0; length < TRACE_HEADER_SIZE + TRACE_RECORD_SIZE; length += 7) {
    const memory = new Guarded(native, 1, 1);
    const view = memory.bytes.subarray(0, length);
    if (record(`Recording.start of ${length} bytes`, memory, undefined, view)) complain(`${length} bytes: taken`);
  }
  for (let shift = 1; shift < 8; shift++) {
    const memory = new Guarded(native, 1, 4);
    memory.bytes.copyWithin(shift, 0, TRACE_HEADER_SIZE);
    if (record(`Recording.start, ${shift} bytes aside`, memory, undefined, memory.bytes.subarray(shift)))
      complain(`${shift} bytes aside: taken`);
  }
  // Each number of the header and of the first records is changed during the recording.
  for (let index = 0; index < (TRACE_HEADER_SIZE + TRACE_RECORD_SIZE) / 4; index++) {
    for (const number of NUMBERS) {
      const memory = new Guarded(native, 4, 4);
      record(`Recording, number ${index} becomes ${number}`, memory, () => (memory.numbers[index] = number));
    }
  }
  attackLifetime(native, strike, complain, call);
  attackFiles(native, strike, complain);
}

/** Memory that can be detached is refused; a Recording is dropped, started and stopped in each order. */
function attackLifetime(
  native: RecordingAddon,
  strike: Strike,
  complain: (what: string) => unknown,
  call: () => void,
): void {
  const size = native.TRACE_HEADER_SIZE + 4 * native.TRACE_RECORD_SIZE;
  const layOut = (buffer: ArrayBufferLike): Uint8Array => {
    const numbers = new Uint32Array(buffer, 0, 8);
    numbers[4] = 4;
    numbers[5] = native.TRACE_MAGIC;
    return new Uint8Array(buffer);
  };
  const away: Readonly<Record<string, () => Uint8Array>> = {
    'an ArrayBuffer': () => layOut(new ArrayBuffer(size)),
    'one that may shrink': () =>
      layOut(Reflect.construct(ArrayBuffer, [size, { maxByteLength: 2 * size }]) as ArrayBuffer),
    'one that has gone': () => detached(layOut(new ArrayBuffer(size))),
    'a Buffer': () => Buffer.from(layOut(new ArrayBuffer(size)).buffer),
    'a WebAssembly.Memory': () => layOut(new WebAssembly.Memory({ initial: 1 }).buffer),
  };
  for (const [what, make] of Object.entries(away))
    strike(`Recording.start, ${what}`, () => new native.Recording().start(make()), true);

  // A growable buffer does not move when it grows.
  const growing = Reflect.construct(SharedArrayBuffer, [size, { maxByteLength: 16 * size }]) as SharedArrayBuffer & {
    grow?(size: number): void;
  };
  const recording = new native.Recording();
  strike(
    'Recording, memory that grows',
    () => {
      if (recording.start(layOut(growing)) !== 0) complain('Recording: memory that may grow is refused');
      call();
      growing.grow?.(16 * size);
      call();
      recording.stop();
    },
    false,
  );
  const memory = layOut(new SharedArrayBuffer(size));
  strike(
    'Recording, twice',
    () => {
      if (recording.start(memory) !== 0) complain('Recording.start: not a second time');
      if (recording.start(memory) >= 0) complain('Recording.start: began twice');
      recording.stop();
      recording.stop();
    },
    false,
  );
  const dropped: Recording[] = [];
  for (let i = 0; i < 300; i++) {
    const one = new native.Recording();
    if (i % 3 > 0) one.start(layOut(new SharedArrayBuffer(size)));
    if (i % 3 > 1) one.stop();
    if (i % 10 === 0) dropped.push(one);
    call();
  }
  dropped.length = 0;
}

function attackFiles(native: RecordingAddon, strike: Strike, complain: (what: string) => unknown): void {
  const folder = temporaryFolder();
  const inside = join(folder.path, 'folder');
  mkdirSync(inside);
  const path = join(folder.path, 'file');
  const contents = Buffer.alloc(2000, 'no trace');
  writeFileSync(path, contents);
  const paths = [path, inside, join(inside, 'not', 'there'), '', `${path}/`];
  for (const one of paths) {
    for (const size of [0, 1, 31, 32, 536, 2000])
      strike(
        `recordInFile(${one}, ${size})`,
        () => {
          if (native.recordInFile(one, size) >= 0) complain(`recordInFile(${one}, ${size}): taken`);
        },
        false,
      );
    for (const size of [-1, 1.5, NaN, 2 ** 31, 2 ** 53, '1', undefined])
      strike(`recordInFile, ${String(size)} bytes`, () => native.recordInFile(one, size as number), true);
  }
  for (const one of ['a\0b', 5, null, undefined, {}, Buffer.from(path)])
    strike('recordInFile, a path that is none', () => native.recordInFile(one as string, 100), true);
  if (!readFileSync(path).equals(contents)) complain('recordInFile: wrote to a file that is no trace');
  folder.close();
}
