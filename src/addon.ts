/**
 * The types of the addon, which native.ts loads. Functions have the names of the system calls they make; they take and return numbers. A
 * negative result is an error: the operating system's error number, negated (errors.ts).
 */

/** Owns one descriptor. It is closed at the latest when this object is collected, or its thread ends. */
export interface NativeDescriptor {
  close(): number;
  /** Gives up ownership without closing. @returns the descriptor */
  release(): number;
}

/** Owns the descriptors of a loop. */
export interface NativeDescriptors {
  add(fd: number): void;
  /** EBADF for a descriptor that was not added. */
  close(fd: number): number;
  /** Gives up ownership without closing. */
  remove(fd: number): void;
  closeAll(): void;
}

/** A wake channel: a descriptor, and a handle by which any thread makes it readable. */
export interface NativeWakeup {
  open(): number;
  fd(): number;
  handle(): number;
  drain(): void;
  close(): void;
}

/** A thread that waits for descriptors. See native/wait/waiter.cc. */
export interface NativeWaiter {
  open(): number;
  /** @returns false: it is waiting already */
  start(
    useSelect: boolean,
    interest: Int32Array,
    count: number,
    timeout: number,
    handle: number,
    callback: (error: number) => void,
  ): boolean;
  interrupt(): void;
  close(): void;
}

/** A descriptor that Node's loop watches. See native/wait/loop_watch.cc. */
export interface NativeLoopWatch {
  /** @returns 0; a negative error; 1: this runtime's loop cannot watch it */
  open(fd: number, callback: () => void): number;
  start(): number;
  stop(): void;
  close(): void;
}

/** A signal that signals a wake channel when it is delivered. */
export interface NativeSignalWatch {
  open(signal: number, wakeupHandle: number): number;
  take(): boolean;
  refresh(): number;
  close(): void;
}

/** Ends a blocking call of the thread that made it. See native/wait/interrupt.cc. */
export interface NativeThreadInterrupt {
  open(): number;
  handle(): number;
  endWhenReadable(fd: number): number;
  close(): void;
}

/** See native/shared/shared_file.cc. */
export interface NativeSharedFile {
  open(path: string): number;
  grow(size: number): number;
  /** As many bytes as it was grown to. null: this runtime allows no external ArrayBuffer (Electron). */
  map(): ArrayBuffer | null | number;
  /** 1; 0: another object holds it. */
  lock(wait: boolean): number;
  unlock(): number;
  close(): number;
}

/** See native/trace/recording.cc. */
export interface NativeRecording {
  /** @param memory of a SharedArrayBuffer, as TraceMemory makes it. EINVAL: it is not; this object records already */
  start(memory: Uint8Array): number;
  stop(): void;
}

/** See native/trace/fault_plan.cc. */
export interface NativeFaultPlan {
  /**
   * @param names one line per rule: the names of its calls, separated by commas
   * @param numbers six per rule: kind (1 error, 2 short, 3 slow), value, first, last, every, probability
   * @param counters zeros in a SharedArrayBuffer: 8 bytes that become non-zero when the plan stops, then two 64-bit counters per rule
   * @param isJoined the plan belongs to another thread, and does not stop with this object
   */
  start(
    names: string,
    numbers: Float64Array,
    seed: number,
    counters: Uint8Array,
    ofProcess: boolean,
    isJoined: boolean,
  ): number;
  stop(): void;
}

/** A multiplexer's wait. @returns the number of records in the memory that prepareWait() passed. See native/core/multiplexer.cc */
export type NativeWait = (timeout: number) => number;

/** See native/turn/turn.cc. */
export interface NativeTurn {
  setSlot(index: number, buffer: Uint8Array): void;
  wait(
    timeout: number,
    receiving: Int32Array,
    maxRecords: number,
    arena: Uint8Array,
    pool: Uint8Array,
    poolOffset: number,
  ): number;
}

/** A completion port. See native/mechanisms/iocp.cc. */
export interface NativeIocp {
  open(concurrency: number, reusable: boolean): number;
  wakeHandle(): number;
  associate(handle: number, key: number): number;
  isAssociated(handle: number): boolean;
  postQueuedCompletionStatus(key: number, bytes: number): number;
  acceptEx(id: number, listener: number, accepting: number, owned: boolean): number;
  connectEx(id: number, socket: number, sockaddr: Uint8Array): number;
  wsaRecv(id: number, socket: number, size: number): number;
  wsaRecvFrom(id: number, socket: number, size: number): number;
  wsaSend(id: number, socket: number, bytes: Uint8Array): number;
  wsaSendTo(id: number, socket: number, bytes: Uint8Array, sockaddr: Uint8Array): number;
  openFile(fd: number, writing: boolean): number;
  closeFile(handle: number): number;
  readFile(id: number, handle: number, size: number, position: number): number;
  writeFile(id: number, handle: number, bytes: Uint8Array, position: number): number;
  readDescriptor(id: number, fd: number, size: number, position: number): number;
  writeDescriptor(id: number, fd: number, bytes: Uint8Array, position: number): number;
  cancel(id: number): number;
  cancelAllOf(handle: number): number;
  getQueuedCompletionStatusEx(out: Float64Array, maxEntries: number, timeout: number): number;
  received(row: number, target: Uint8Array): number;
  sender(row: number, target: Uint8Array): number;
  fetchCancelled(milliseconds: number): void;
  /** @returns the number of operations that have not completed: their memory is never freed */
  close(milliseconds: number): number;
}

/** Polls of AFD, one by one. See native/mechanisms/afd.cc. */
export interface NativeAfd {
  open(): number;
  /** @returns the socket below layered service providers */
  baseSocket(fd: number): number;
  poll(id: number, base: number, events: number): number;
  cancel(id: number): number;
  getQueuedCompletionStatusEx(out: Float64Array, maxEntries: number, timeout: number): number;
  pending(): number;
  handles(): number;
  /** @returns the number of polls that have not completed: their memory is never freed */
  close(milliseconds: number): number;
}

/** Level-triggered readiness over AFD. See native/mechanisms/afd_set.h. */
export interface NativeAfdSet {
  open(): number;
  /** For prepareWait() and NativeWaiter.start(). 0: not open. */
  handle(): number;
  /** @param events 1: readable, 2: writable */
  add(fd: number, events: number, generation: number): number;
  change(fd: number, events: number): number;
  remove(fd: number): void;
  /** @returns false: the kernel has reported that the socket was closed */
  has(fd: number, generation: number): boolean;
  pending(): number;
  handles(): number;
  close(milliseconds: number): number;
}

/** What every system has. */
export interface Everywhere {
  readonly Descriptor: new (fd: number) => NativeDescriptor;
  readonly Descriptors: new () => NativeDescriptors;
  readonly LoopWatch: new () => NativeLoopWatch;
  readonly SignalWatch: new () => NativeSignalWatch;
  /**
   * The first watched signal of this process is handled; another one, or the same after this many milliseconds, ends the process by the
   * system's default action, whatever its threads do. -1: switches it off.
   */
  endOnRepeat(milliseconds: number): void;
  readonly SharedFile: new () => NativeSharedFile;
  /** The system call of NativeSharedFile.grow(), for its errors. */
  readonly growSyscall: string;
  readonly Recording: new () => NativeRecording;
  /** Records into `size` bytes of a file, until this thread ends. EINVAL: it is not as TraceMemory makes it. */
  recordInFile(path: string, size: number): number;
  readonly FaultPlan: new () => NativeFaultPlan;
  /** Starts the process's plan, which lasts until it ends. 1: it has one already. */
  startProcessFaults(names: string, numbers: Float64Array, seed: number): number;
  /** Calls and injected faults per rule of the process's plan. @returns the number of numbers in `out` */
  processFaultCounts(out: Float64Array): number;
  /** true: later records of this thread are those of a probe. */
  setProbing(isProbing: boolean): void;
  /**
   * A cell of shared memory for this thread. cell[0] is not 0: the next call that waits is a slice of a longer wait; its record is marked, and
   * the cell is set to 0. Calls that are not recorded do not read it.
   */
  setSliceCell(cell: Int32Array): void;
  /** Milliseconds, on the clock of a trace's records. */
  monotonicMilliseconds(): number;
  readonly TRACE_HEADER_SIZE: number;
  readonly TRACE_RECORD_SIZE: number;
  readonly TRACE_MAGIC: number;
  readonly TRACE_ABANDONED: number;
  /** A constructor per mechanism that this system has. */
  readonly multiplexers: Readonly<Record<string, () => NativeWait>>;
  prepareWait(wait: NativeWait, set: number, interest: Int32Array, count: number, memory: Int32Array): number;
  readonly READY_FIELDS: number;
  readonly Turn: new (wait: NativeWait) => NativeTurn;
  flush(outgoing: Int32Array, count: number, slab: Uint8Array, buffers: readonly Uint8Array[]): undefined;
  readonly OUTGOING_FIELDS: number;
  readonly NOT_RECEIVED: number;
  readonly MAX_SLOTS: number;
  readonly Wakeup: new () => NativeWakeup;
  readonly Waiter: new () => NativeWaiter;
  /** undefined on Windows. */
  readonly ThreadInterrupt: (new () => NativeThreadInterrupt) | undefined;
  /** Signals these handles, or all, until none of them is a ThreadInterrupt any more. undefined on Windows. */
  readonly interruptUntilEnded: ((handles: Int32Array) => void) | undefined;
  wakeup(handle: number): boolean;
  /** The system call of NativeWakeup.open(), for its errors. */
  readonly wakeSyscall: string;

  select(
    read: Int32Array,
    readCount: number,
    write: Int32Array,
    writeCount: number,
    except: Int32Array,
    exceptCount: number,
    out: Int32Array,
    timeout: number,
  ): number;
  readonly FD_SETSIZE: number;

  poll(interest: Int32Array, count: number, out: Int32Array, timeout: number): number;
  readonly POLLIN: number;
  readonly POLLPRI: number;
  readonly POLLOUT: number;
  readonly POLLERR: number;
  readonly POLLHUP: number;
  readonly POLLNVAL: number;
  readonly POLLRDHUP: number;
  readonly POLLRDNORM: number;

  /** @returns at least one sockaddr; or the name of getaddrinfo's error; or a negative system error (EAI_SYSTEM) */
  resolve(host: string, port: number, family: number): Buffer[] | string | number;
  encodeUnix(path: Uint8Array): Buffer | number;
  /** @returns host and port; or the bytes of a Unix path; null for another family */
  readonly SA_FAMILY_OFFSET: number;
  decode(sockaddr: Uint8Array): [host: string, port: number] | Buffer | null;

  readonly constants: Readonly<Record<string, number>>;

  socket(family: number, type: number, protocol: number): number;
  socketpair(family: number, type: number, protocol: number, out: Int32Array): number;
  bind(fd: number, sockaddr: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  accept(fd: number, nonBlocking: boolean, sockaddr: Uint8Array, lengthOut: Int32Array): number;
  connect(fd: number, sockaddr: Uint8Array): number;
  recv(this: void, fd: number, buffer: Uint8Array, offset?: number, length?: number, flags?: number): number;
  send(this: void, fd: number, buffer: Uint8Array, offset?: number, length?: number, flags?: number): number;
  recvfrom(fd: number, buffer: Uint8Array, flags: number, sockaddr: Uint8Array, lengthOut: Int32Array): number;
  sendto(fd: number, buffer: Uint8Array, flags: number, sockaddr: Uint8Array): number;
  shutdown(fd: number, how: number): number;
  getsockname(fd: number, out: Uint8Array): number;
  getpeername(fd: number, out: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  getsockopt(fd: number, level: number, option: number, out: Uint8Array): number;
  setLinger(fd: number, seconds: number): number;
  getLinger(fd: number, out: Int32Array): number;
  isOpen(fd: number): number;
  duplicate(fd: number): number;
  isNonBlocking(fd: number): number;
  setNonBlocking(fd: number, on: boolean): number;
  isInheritable(fd: number): number;
  setInheritable(fd: number, on: boolean): number;
  readonly wouldBlock: number;
  readonly inProgress: number;
  readonly badDescriptor: number;
  readonly canceled: number;
  readonly SOMAXCONN: number;
}

/** Linux. */
export interface EpollCalls {
  epoll_create1(): number;
  epoll_ctl(epfd: number, operation: number, fd: number, events: number, low: number, high: number): number;
  epoll_wait(epfd: number, out: Int32Array, maxEvents: number, timeout: number): number;
  readonly EPOLL_CTL_ADD: number;
  readonly EPOLL_CTL_MOD: number;
  readonly EPOLL_CTL_DEL: number;
  readonly EPOLLIN: number;
  readonly EPOLLPRI: number;
  readonly EPOLLOUT: number;
  readonly EPOLLERR: number;
  readonly EPOLLHUP: number;
  readonly EPOLLRDHUP: number;
  readonly EPOLLET: number;
  readonly EPOLLONESHOT: number;
  readonly EPOLLEXCLUSIVE: number;
  readonly EPOLLWAKEUP: number;
}

/** macOS, and Linux with libkqueue. */
export interface KqueueCalls {
  kqueue(): number;
  kevent(
    kq: number,
    changes: Float64Array,
    changeCount: number,
    out: Float64Array,
    maxEvents: number,
    timeout: number,
  ): number;
  readonly EVFILT_READ: number;
  readonly EVFILT_WRITE: number;
  readonly EVFILT_TIMER: number;
  readonly EVFILT_SIGNAL: number;
  readonly EVFILT_VNODE: number;
  readonly EVFILT_PROC: number;
  readonly EVFILT_USER: number;
  /** Not on every system: 0 there, as EVFILT_USER, EV_DISPATCH and EV_RECEIPT can be. */
  readonly EVFILT_EXCEPT: number;
  readonly NOTE_OOB: number;
  readonly EV_ADD: number;
  readonly EV_DELETE: number;
  readonly EV_ENABLE: number;
  readonly EV_DISABLE: number;
  readonly EV_ONESHOT: number;
  readonly EV_CLEAR: number;
  readonly EV_DISPATCH: number;
  readonly EV_RECEIPT: number;
  readonly EV_EOF: number;
  readonly EV_ERROR: number;
}

/** Solaris and illumos; elsewhere a build for tests has them, over a stand-in. Pairs are [descriptor, events]. */
export interface DevpollCalls {
  devpollOpen(): number;
  devpollWrite(devpoll: number, pairs: Int32Array, count: number): number;
  devpollPoll(devpoll: number, out: Int32Array, maxEvents: number, timeout: number): number;
  devpollIsPolled(devpoll: number, fd: number, out: Int32Array): number;
  devpollMaxEvents(): number;
  readonly POLLREMOVE: number;
  readonly DEVPOLL_IS_OF_SYSTEM: boolean;
}

/** POSIX. */
export interface PassFdsCalls {
  sendFds(fd: number, data: Uint8Array, descriptors: Int32Array, count: number): number;
  recvFds(fd: number, buffer: Uint8Array, descriptorsOut: Int32Array, out: Int32Array): number;
}

/** Windows. */
export interface ShareSocketCalls {
  WSADuplicateSocket(fd: number, pid: number, out: Uint8Array): number;
  WSASocket(description: Uint8Array): number;
  readonly WSAPROTOCOL_INFO_SIZE: number;
}

/** Windows. A row of NativeAfd.getQueuedCompletionStatusEx: [id, events, error]. */
export interface AfdCalls {
  readonly Afd: new () => NativeAfd;
  readonly AfdSet: new () => NativeAfdSet;
  readonly AFD_ROW: number;
  readonly AFD_POLL_RECEIVE: number;
  readonly AFD_POLL_RECEIVE_EXPEDITED: number;
  readonly AFD_POLL_SEND: number;
  readonly AFD_POLL_DISCONNECT: number;
  readonly AFD_POLL_ABORT: number;
  readonly AFD_POLL_LOCAL_CLOSE: number;
  readonly AFD_POLL_CONNECT: number;
  readonly AFD_POLL_ACCEPT: number;
  readonly AFD_POLL_CONNECT_FAIL: number;
}

/** Windows. A row of NativeIocp.getQueuedCompletionStatusEx: [key, value, id, error, flags]. */
export interface IocpCalls {
  readonly Iocp: new () => NativeIocp;
  readonly IOCP_ROW: number;
  /** Values of `id` that are no operation's. */
  readonly IOCP_POSTED: number;
  readonly IOCP_WOKEN: number;
  readonly IOCP_UNEXPECTED: number;
  /** Bits of `flags`. */
  readonly IOCP_RECEIVED: number;
  readonly IOCP_HAS_SENDER: number;
  readonly IOCP_CANCELLED: number;
}

/** A ring. See native/mechanisms/io_uring.h. */
export interface NativeIoUring {
  open(entries: number, cqEntries: number): number;
  /** Fills `out`: [fd, features, submission entries, completion entries]. */
  about(out: Int32Array): void;
  supports(opcode: number): number;
  registerEventFd(fd: number): number;
  nop(userData: number): number;
  accept(fd: number, flags: number, userData: number): number;
  connect(fd: number, sockaddr: Uint8Array, userData: number): number;
  recv(fd: number, target: Uint8Array | number, flags: number, userData: number): number;
  send(fd: number, bytes: Uint8Array, flags: number, userData: number): number;
  recvmsg(fd: number, target: Uint8Array | number, flags: number, userData: number): number;
  sendmsg(fd: number, bytes: Uint8Array, sockaddr: Uint8Array, flags: number, userData: number): number;
  read(fd: number, target: Uint8Array | number, position: number, userData: number): number;
  write(fd: number, bytes: Uint8Array, position: number, userData: number): number;
  pollAdd(fd: number, events: number, userData: number): number;
  timeout(ms: number, userData: number): number;
  cancel(target: number, userData: number): number;
  enter(minComplete: number, timeout: number): number;
  /** @returns the number of completions that can be taken */
  ready(): number;
  woken(): boolean;
  completions(
    max: number,
  ): (readonly [userData: number, res: number, flags: number, data?: Buffer, sockaddr?: Buffer])[];
  close(patience: number): number;

  openStreams(count: number, size: number): ArrayBuffer | null | number;
  watchWake(fd: number): number;
  acceptStream(fd: number, generation: number, multishot: boolean, nonBlocking: boolean): number;
  connectStream(fd: number, generation: number, sockaddr: Uint8Array): number;
  receiveStream(fd: number, generation: number, multishot: boolean): number;
  sendStream(fd: number, generation: number, buffers: readonly Uint8Array[]): number;
  cancelStream(what: number, fd: number, generation: number): number;
  peerOf(fd: number, out: Uint8Array): number;
  copyOfBuffer(buffer: number, length: number): Buffer;
  /** @returns false: io_uring_enter failed for the moment */
  flush(outgoing: Int32Array, count: number, slab: Uint8Array, buffers: readonly Uint8Array[]): false | undefined;
  turn(
    timeout: number,
    out: Int32Array,
    maxRecords: number,
    pool: Uint8Array,
    poolOffset: number,
    maxShare: number,
  ): number;
}

/** Linux. */
export interface IoUringCalls {
  readonly IoUring: new () => NativeIoUring;
  readonly streamNumbers: {
    readonly RECORD: number;
    readonly RECEIVED: number;
    readonly ACCEPTED: number;
    readonly SENT: number;
    readonly CONNECTED: number;
    readonly WOKEN: number;
    readonly CALLERS: number;
    readonly LAST: number;
    readonly MORE: number;
    readonly REFUSED: number;
    readonly SURPLUS: number;
  };
}

/** The addon: a system has all calls of a group, or none. */
export type Addon = Everywhere &
  Partial<
    IoUringCalls & AfdCalls & IocpCalls & EpollCalls & KqueueCalls & DevpollCalls & PassFdsCalls & ShareSocketCalls
  >;
