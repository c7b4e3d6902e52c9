// Everything that differs between operating systems: constants, and functions that posix.cc and win.cc implement. No
// file outside of this folder checks which system it is compiled for; they use `if constexpr (kHas…)`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/result.h"

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
// After winsock2.h, which must precede it.
#include <windows.h>
#else
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace selectors {

#ifdef _WIN32
// A descriptor of Winsock is a handle, and only sockets have one. Handles use 32 bits on 64-bit Windows too.
using Fd = SOCKET;
inline constexpr Fd kNoFd = INVALID_SOCKET;
inline constexpr int64_t kMinFd = 0;
inline constexpr int64_t kMaxFd = UINT32_MAX;
using PollFd = WSAPOLLFD;
using SocketLength = int;
using ThreadHandle = HANDLE;
using InterruptTarget = DWORD;
inline constexpr int kInterrupted = WSAEINTR;
inline constexpr int kBadDescriptor = WSAENOTSOCK;
inline constexpr int kInvalidArgument = WSAEINVAL;
inline constexpr int kCanceled = ERROR_OPERATION_ABORTED;
inline constexpr int kNameTooLong = WSAENAMETOOLONG;
inline constexpr int kWouldBlock = WSAEWOULDBLOCK;
inline constexpr int kInProgress = WSAEWOULDBLOCK;
inline constexpr int kNoMemory = WSAENOBUFS;
inline constexpr int kNoSignal = 0;
inline constexpr int kDiscardFlag = 0;  // Winsock reports MSG_TRUNC, and no call accepts it
inline constexpr int kLingerOption = SO_LINGER;
// The buffer and length types of send, recv and the socket options: char and int here, void and size_t on POSIX.
using RawBytes = char;
using RawSize = int;
// Does select report a failed connect in the except set? (Elsewhere in the write set.)
inline constexpr bool kFailedConnectInExcept = true;
// Is an fd_set a bitmap with one bit per descriptor, the lowest bit first? Winsock's is an array of descriptors.
inline constexpr bool kFdSetIsBitmap = false;
inline constexpr bool kHasEpoll = false;
inline constexpr bool kHasAfd = true;
inline constexpr bool kHasIocp = true;
inline constexpr bool kHasIoUring = false;
inline constexpr bool kHasPassFds = false;
inline constexpr bool kHasShareSocket = true;
// Can another thread end the system call that blocks a thread? Not on Windows, where worker threads wait in slices.
inline constexpr bool kHasThreadInterrupt = false;
inline constexpr bool kHasAbstractNames = false;
inline constexpr bool kUnixPathMayLackNul = false;
// Can uv_poll_start watch any descriptor, also a multiplexer? On Windows libuv polls only sockets.
inline constexpr bool kUvPollsAnyDescriptor = false;
inline constexpr const char* kWakeSyscall = "socket";
// A HANDLE. Not an Fd: an Fd is a socket here, which another function closes.
using FileHandle = intptr_t;
inline constexpr const char* kGrowSyscall = "ftruncate";

// As in afunix.h, which older SDKs lack.
struct UnixAddress {
  uint16_t sun_family;
  char sun_path[108];
};
#else
using Fd = int;
inline constexpr Fd kNoFd = -1;
inline constexpr int64_t kMinFd = INT32_MIN;
inline constexpr int64_t kMaxFd = INT32_MAX;
using PollFd = pollfd;
using SocketLength = socklen_t;
using ThreadHandle = pthread_t;
#ifdef __linux__
using InterruptTarget = pid_t;
#else
using InterruptTarget = pthread_t;
#endif
using RawBytes = void;
using RawSize = size_t;
using FileHandle = int;
inline constexpr int kInterrupted = EINTR;
inline constexpr int kBadDescriptor = EBADF;
inline constexpr int kInvalidArgument = EINVAL;
inline constexpr int kCanceled = ECANCELED;
inline constexpr int kNameTooLong = ENAMETOOLONG;
inline constexpr int kWouldBlock = EAGAIN;
inline constexpr int kInProgress = EINPROGRESS;
inline constexpr int kNoMemory = ENOMEM;
// The flag by which a receive discards bytes instead of storing them.
inline constexpr int kDiscardFlag = MSG_TRUNC;
#ifdef MSG_NOSIGNAL
inline constexpr int kNoSignal = MSG_NOSIGNAL;
#else
inline constexpr int kNoSignal = 0;            // macOS: each socket has SO_NOSIGPIPE instead
#endif
#ifdef MSG_CMSG_CLOEXEC
inline constexpr int kReceiveCloseOnExec = MSG_CMSG_CLOEXEC;
#else
inline constexpr int kReceiveCloseOnExec = 0;  // macOS: each received descriptor gets FD_CLOEXEC instead
#endif
#ifdef SCM_PIDFD
inline constexpr int kScmPidfd = SCM_PIDFD;
#elif defined(__linux__)
inline constexpr int kScmPidfd = 4;            // SCM_PIDFD: Linux 6.5, linux/socket.h
#else
inline constexpr int kScmPidfd = -1;  // there is none
#endif
#ifdef SO_LINGER_SEC
inline constexpr int kLingerOption = SO_LINGER_SEC;  // macOS counts SO_LINGER in clock ticks
#else
inline constexpr int kLingerOption = SO_LINGER;
#endif
inline constexpr bool kFailedConnectInExcept = false;
inline constexpr bool kFdSetIsBitmap = true;
#ifdef __linux__
inline constexpr bool kHasEpoll = true;
inline constexpr bool kHasIoUring = true;
inline constexpr const char* kWakeSyscall = "eventfd";
inline constexpr const char* kGrowSyscall = "fallocate";
#else
inline constexpr bool kHasEpoll = false;
inline constexpr bool kHasIoUring = false;
inline constexpr const char* kWakeSyscall = "pipe";
inline constexpr const char* kGrowSyscall = "ftruncate";
#endif
inline constexpr bool kHasAfd = false;
inline constexpr bool kHasIocp = false;
inline constexpr bool kHasPassFds = true;
inline constexpr bool kHasShareSocket = false;
inline constexpr bool kHasThreadInterrupt = true;
#ifdef __linux__
inline constexpr bool kHasAbstractNames = true;
// Linux accepts a path that fills sun_path and has no NUL (unix(7), "BUGS").
inline constexpr bool kUnixPathMayLackNul = true;
#else
inline constexpr bool kHasAbstractNames = false;
inline constexpr bool kUnixPathMayLackNul = false;
#endif
inline constexpr bool kUvPollsAnyDescriptor = true;
using UnixAddress = sockaddr_un;
#endif

// 0 if poll has no such flag: requesting it then has no effect.
#ifdef POLLRDHUP
inline constexpr int kPollReadHangUp = POLLRDHUP;
#else
inline constexpr int kPollReadHangUp = 0;
#endif

#ifdef SELECTORS_HAVE_KQUEUE
inline constexpr bool kHasKqueue = true;
#else
inline constexpr bool kHasKqueue = false;
#endif

#ifdef SELECTORS_HAVE_DEVPOLL
inline constexpr bool kHasDevpoll = true;
#else
inline constexpr bool kHasDevpoll = false;
#endif

// errno, or WSAGetLastError().
int LastError();

// Once per process or environment, before any other function of this header. Windows: WSAStartup.
Result StartNetwork();

// As the system's own tools show them.
int ProcessId();
uint32_t ThreadId();

// Milliseconds of the monotonic clock. Safe in a signal handler.
double MonotonicMilliseconds();

// Blocks the calling thread. Neither traced nor disturbed by a fault plan.
void SleepMilliseconds(double milliseconds);

// A thread with all signals blocked. Not std::thread: without exceptions, that ends the process if the system cannot
// create a thread.
class Thread {
 public:
  Thread() = default;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { Join(); }

  // EAGAIN: too many threads.
  Result Start(void (*body)(void*), void* argument);
  // Waits until the thread has ended; later calls do nothing.
  void Join();

 private:
  ThreadHandle handle_{};
  bool started_ = false;
};

// The calling thread, as InterruptThread takes it.
InterruptTarget CurrentThread();
// Prepares this process and the calling thread for InterruptThread.
Result CatchInterrupts();
// A system call that blocks the thread fails with EINTR. Nothing happens to a thread that is in none. The thread must
// not have ended.
Result InterruptThread(InterruptTarget thread);

Result CloseFd(Fd fd);
// A duplicate, close-on-exec.
Result DuplicateFd(Fd fd);
// Ok if the descriptor is open, else EBADF (WSAENOTSOCK).
Result IsOpenFd(Fd fd);
Result SetNonBlocking(Fd fd, bool on);
// 0 or 1. Windows has no such query: EINVAL.
Result IsNonBlocking(Fd fd);
Result SetInheritable(Fd fd, bool on);
Result IsInheritable(Fd fd);

// Created close-on-exec (Windows: not inheritable). No send on it raises SIGPIPE.
Result OpenSocket(int family, int type, int protocol);
// socketpair(2). Windows has none: WSAEOPNOTSUPP.
Result OpenSocketPair(int family, int type, int protocol, Fd pair[2]);
// The connection's descriptor; `non_blocking` does not depend on the listener's mode. *length is the full length of the
// peer's address, which may exceed the given one.
Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length);

// A send's error as a portable one. BSD systems have two of their own, which libuv handles too (src/unix/stream.c):
//   ENOBUFS becomes EAGAIN: no buffer is free at the moment; on macOS also if the receiver's queue is full (a datagram
//   to a Unix socket). On Linux it means the same, a lack of memory (sock_alloc_send_pskb()).
//   EPROTOTYPE becomes ECONNRESET: macOS 10.10 to 10.15 report it while the peer is closing the connection. The send is
//   not retried: behind some VPNs the error persists. With an address it keeps its meaning, a socket of another type.
#ifdef _WIN32
constexpr int PortableSendToError(int error) { return error; }
constexpr int PortableSendError(int error) { return error; }
#else
constexpr int PortableSendToError(int error) { return error == ENOBUFS ? EAGAIN : error; }
constexpr int PortableSendError(int error) { return error == EPROTOTYPE ? ECONNRESET : PortableSendToError(error); }
#endif

// Sends the first kMaxIov of several buffers in one call: sendmsg(2), WSASend. The number of bytes that the kernel
// took.
struct IoBuffer {
  const uint8_t* data;
  size_t size;
};
inline constexpr size_t kMaxIov = 64;
Result SendVectored(Fd fd, const IoBuffer* buffers, size_t count);

#ifndef _WIN32
// The data of a control message, as far as it was received. XNU cuts a control message at msg_controllen and leaves
// cmsg_len as it was sent (bsd/kern/uipc_syscalls.c, copyout_control): memory beyond msg_controllen must not be read.
std::span<const uint8_t> ControlData(const msghdr& message, const cmsghdr& header);
// The control message after `header`, or the first one if `header` is nullptr; nullptr: none, or what follows is not
// one.
const cmsghdr* NextControl(const msghdr& message, const cmsghdr* header);
#endif

// One poll(2) or WSAPoll; `timeout` in milliseconds, negative: none. On Windows as on POSIX, an empty list sleeps, a
// closed socket is reported (POLLNVAL; Wine 8's WSAPoll fails instead), and so is a failed connect (POLLERR). Windows
// before 10, version 2004, never reports that to WSAPoll: while POLLOUT is requested and not ready, the wait wakes ten
// times a second and asks select.
Result PollFds(PollFd* fds, size_t count, int timeout);
// One select(2); `timeout` in milliseconds with fractions, negative: none. A set may be null. `highest` is the highest
// descriptor in the sets, kNoFd if all are empty: Windows' select rejects empty sets, so there the thread sleeps.
Result SelectFds(Fd highest, fd_set* read, fd_set* write, fd_set* except, double timeout);
// Can `fd` be added to a set of `count` descriptors? POSIX limits the descriptor's number, Windows how many there are.
bool FitsFdSet(Fd fd, size_t count);

// A wake channel: an eventfd(2) (Linux), a pipe (other POSIX systems), or a UDP socket connected to itself (Windows,
// whose select accepts only sockets). `read` is readable from SignalWakeChannel until DrainWakeChannel. On Linux and
// Windows `read` and `write` are the same descriptor.
Result OpenWakeChannel(Fd* read, Fd* write);
Result SignalWakeChannel(Fd write);
Result SignalWakeChannelFromHandler(Fd write);
void DrainWakeChannel(Fd read);

// Installs `handler` for a signal of the process. It runs in any thread at any moment, so it may only do what
// signal-safety(7) allows. The handler that was installed before is called after it, unless that is Node's own, which
// ends the process. Calling this again reinstalls a handler that other code has replaced: then the value is 1, else 0.
// Windows: Ctrl-C is SIGINT, Ctrl-Break SIGBREAK, closing the console SIGHUP; each handler runs in a thread that
// Windows creates; about five seconds after SIGHUP Windows ends the process.
Result CatchSignal(int signal, void (*handler)(int));
// Reinstalls the former handler.
void RestoreSignal(int signal);
// Ends the process by the signal's default action. Safe in a signal handler.
void EndProcessBySignal(int signal);

// A file that is mapped as shared memory, and locked. INVALID_HANDLE_VALUE is -1 as well.
inline constexpr FileHandle kNoFile = -1;
// open(2) or CreateFileW for reading and writing, close-on-exec; the value is the FileHandle. Creates an empty file if
// there is none, for its owner only (Windows: with the folder's permissions). `path` is UTF-8, without a NUL.
Result OpenFile(const std::string& path);
Result CloseFile(FileHandle file);
// Makes the file at least `size` bytes long, and never shorter (except on macOS, if two processes grow it to different
// sizes at the same time). EINVAL: not a regular file.
Result GrowFile(FileHandle file, size_t size);
// Identifies a file while it is open or mapped.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t number = 0;
};
Result IdentifyFile(FileHandle file, FileIdentity* identity);
// A larger file would not fit into an ArrayBuffer on every system.
inline constexpr size_t kMaxMappedBytes = size_t{1} << 30;
// mmap(2) with MAP_SHARED, MapViewOfFile: maps the first `size` bytes, which the file must have. The mapping stays
// valid when the file is closed.
Result MapFile(FileHandle file, size_t size, void** memory);
void UnmapFile(void* memory, size_t size);
// flock(2), LockFileEx: 1; or 0, if `wait` is false and another holder has the lock. Never acquire it twice: on Windows
// the thread would wait for itself.
Result AcquireFileLock(FileHandle file, bool wait);
Result ReleaseFileLock(FileHandle file);

// The name that Node uses for an error of getaddrinfo(3): EAI_NONAME and EAI_NODATA are ENOTFOUND. Null: unknown.
const char* ResolverErrorName(int error);
// For EAI_SYSTEM, the error of the system call that has just failed within getaddrinfo(3); else 0.
int ResolverSystemError(int error);

// A function of the program that loaded the addon, by name; null: there is none.
void* FindProgramFunction(const char* name);

}  // namespace selectors
