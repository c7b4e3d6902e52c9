// What differs between operating systems, behind one header. posix.cc (Linux, macOS) and win.cc answer it; no file
// outside of this folder asks which system it is on.
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
inline constexpr int kInterrupted = WSAEINTR;
inline constexpr int kBadDescriptor = WSAENOTSOCK;
inline constexpr int kInvalidArgument = WSAEINVAL;
inline constexpr int kCanceled = ERROR_OPERATION_ABORTED;
inline constexpr int kNameTooLong = WSAENAMETOOLONG;
inline constexpr int kWouldBlock = WSAEWOULDBLOCK;
inline constexpr int kInProgress = WSAEWOULDBLOCK;
inline constexpr int kNoMemory = WSAENOBUFS;
inline constexpr int kNoSignal = 0;
inline constexpr int kDiscardFlag = 0;  // Winsock reports MSG_TRUNC, and accepts it in no call
inline constexpr int kLingerOption = SO_LINGER;
// What send, recv and the socket options take: char and int here, void and size_t on POSIX.
using RawBytes = char;
using RawSize = int;
// Winsock's select tells a failed connect in the third set; elsewhere that set is for out-of-band data.
inline constexpr bool kFailedConnectInExcept = true;
// Is an fd_set one bit for each descriptor, the first in the lowest? Winsock's has the descriptors themselves.
inline constexpr bool kFdSetIsBitmap = false;
inline constexpr bool kHasEpoll = false;
inline constexpr bool kHasIocp = true;
inline constexpr bool kHasIoUring = false;
inline constexpr bool kHasPassFds = false;
inline constexpr bool kHasShareSocket = true;
inline constexpr bool kHasAbstractNames = false;
inline constexpr bool kUnixPathMayLackNul = false;
// libuv on Windows polls sockets alone, and a multiplexer is none.
inline constexpr bool kUvPollsAnyDescriptor = false;
inline constexpr const char* kWakeSyscall = "socket";
// A HANDLE. Not an Fd: those are sockets here, and closed by another call.
using FileHandle = intptr_t;
inline constexpr const char* kGrowSyscall = "ftruncate";

// afunix.h, which older SDKs lack.
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
// Of those that a receive takes: it may discard bytes instead of writing them.
inline constexpr int kDiscardFlag = MSG_TRUNC;
#ifdef MSG_NOSIGNAL
inline constexpr int kNoSignal = MSG_NOSIGNAL;
#else
inline constexpr int kNoSignal = 0;            // macOS: SO_NOSIGPIPE is set on each socket instead
#endif
#ifdef MSG_CMSG_CLOEXEC
inline constexpr int kReceiveCloseOnExec = MSG_CMSG_CLOEXEC;
#else
inline constexpr int kReceiveCloseOnExec = 0;  // macOS: FD_CLOEXEC is set on each received descriptor instead
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
inline constexpr bool kHasIocp = false;
inline constexpr bool kHasPassFds = true;
inline constexpr bool kHasShareSocket = false;
#ifdef __linux__
inline constexpr bool kHasAbstractNames = true;
// A path of 108 bytes without a NUL is one of those that Linux takes (unix(7), "BUGS").
inline constexpr bool kUnixPathMayLackNul = true;
#else
inline constexpr bool kHasAbstractNames = false;
inline constexpr bool kUnixPathMayLackNul = false;
#endif
inline constexpr bool kUvPollsAnyDescriptor = true;
using UnixAddress = sockaddr_un;
#endif

// 0 where poll has no such flag: asking for it then asks for nothing.
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

// errno, or WSAGetLastError().
int LastError();

// Once a process or environment, before any other call of this header. Windows: WSAStartup.
Result StartNetwork();

// As the system's own tools name them.
int ProcessId();
uint32_t ThreadId();

// Milliseconds on a clock that no one sets.
double MonotonicMilliseconds();

// The calling thread sleeps so long. Neither recorded nor disturbed by a fault plan.
void SleepMilliseconds(double milliseconds);

// A thread, to which no signals are given. Not std::thread: that has no other way to say that the system has no thread
// left than to end the process.
class Thread {
 public:
  Thread() = default;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { Join(); }

  // EAGAIN: there are too many.
  Result Start(void (*body)(void*), void* argument);
  // Waits for its end, once.
  void Join();

 private:
  ThreadHandle handle_{};
  bool started_ = false;
};

Result CloseFd(Fd fd);
// A duplicate, close-on-exec.
Result DuplicateFd(Fd fd);
// Ok, or EBADF (WSAENOTSOCK): is the number open at all?
Result IsOpenFd(Fd fd);
Result SetNonBlocking(Fd fd, bool on);
// 0 or 1. Windows cannot tell: EINVAL.
Result IsNonBlocking(Fd fd);
Result SetInheritable(Fd fd, bool on);
Result IsInheritable(Fd fd);

// Sockets are close-on-exec from the first (not inheritable, on Windows), and never raise SIGPIPE.
Result OpenSocket(int family, int type, int protocol);
// socketpair(2). Windows has none: WSAEOPNOTSUPP.
Result OpenSocketPair(int family, int type, int protocol, Fd pair[2]);
// The connection's descriptor, non-blocking or not as asked, whatever the listener is; and the peer's address, whose
// length may come out larger than the room that was given.
Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length);

// What a failed send means. BSD systems have two errors of their own for it, as libuv knows (src/unix/stream.c):
//   ENOBUFS is EAGAIN: there is no buffer just now, on macOS also where the receiver's queue is full (a datagram to a
//   Unix socket). Linux has it for the same: its memory is short (sock_alloc_send_pskb()).
//   EPROTOTYPE is ECONNRESET: macOS 10.10 to 10.15 report it of a connection whose peer is closing at that moment. It
//   is not tried again: behind some VPNs it stays. With an address it means what it says, a socket of another type.
#ifdef _WIN32
constexpr int SendToError(int error) { return error; }
constexpr int SendError(int error) { return error; }
#else
constexpr int SendToError(int error) { return error == ENOBUFS ? EAGAIN : error; }
constexpr int SendError(int error) { return error == EPROTOTYPE ? ECONNRESET : SendToError(error); }
#endif

// Sends several pieces as one: sendmsg(2), WSASend. How many bytes the kernel took. At most kMaxIov.
struct IoBuffer {
  const uint8_t* data;
  size_t size;
};
inline constexpr size_t kMaxIov = 64;
Result SendVectored(Fd fd, const IoBuffer* pieces, size_t count);

#ifndef _WIN32
// The bytes behind a control message's header, as far as they are there. XNU cuts a control message at msg_controllen
// and leaves cmsg_len as it was sent (bsd/kern/uipc_syscalls.c, copyout_control): what is behind the end is somebody
// else's.
std::span<const uint8_t> ControlData(const msghdr& message, const cmsghdr& header);
#endif

// One poll(2) or WSAPoll with `timeout` milliseconds (negative: for ever). On Windows an empty list sleeps, and a
// closed socket is an event (POLLNVAL) as on POSIX, also where WSAPoll fails instead (Wine 8). So is a failed connect
// (POLLERR), of which WSAPoll says nothing before Windows 10, version 2004: while POLLOUT is asked and not found, the
// wait wakes ten times a second and asks select.
Result PollFds(PollFd* fds, size_t count, int timeout);
// One select(2) that waits `timeout` milliseconds with fractions. A set may be null. `highest` is the highest
// descriptor in the sets, and may be kNoFd where they are all empty: Windows' select refuses that, so there it sleeps.
Result SelectFds(Fd highest, fd_set* read, fd_set* write, fd_set* except, double timeout);
// Can one more descriptor, this one, be put into a set that holds `count`? POSIX counts the number, Windows the
// members.
bool FitsFdSet(Fd fd, size_t count);

// A channel that ends a wait: eventfd(2), a pipe, or on Windows a UDP socket connected to itself (select takes only
// sockets). `read` becomes readable after SignalWakeChannel and until DrainWakeChannel; on Linux and Windows both ends
// are one.
Result OpenWakeChannel(Fd* read, Fd* write);
Result SignalWakeChannel(Fd write);
Result SignalWakeChannelFromHandler(Fd write);
void DrainWakeChannel(Fd read);

// Has `handler` called for a signal of the process, in whichever thread and at any moment: it may do what
// signal-safety(7) allows. Windows: Ctrl-C as SIGINT, Ctrl-Break as SIGBREAK, the console's closing as SIGHUP, each in
// a thread of the system's; after the last of them the process has some five seconds, then Windows ends it. A handler
// that was there before and is not Node's last one (which ends the process) is called afterwards. Asking again puts
// back what somebody else has taken away meanwhile: the value is then 1, else 0.
Result CatchSignal(int signal, void (*handler)(int));
// What was there before is there again.
void RestoreSignal(int signal);
// Ends the process by the default action of the signal. May be called by a handler.
void EndProcessBySignal(int signal);

// A file that is shared as memory, and locked. INVALID_HANDLE_VALUE is -1, too.
inline constexpr FileHandle kNoFile = -1;
// open(2) for reading and writing, CreateFileW: the FileHandle. Made where there is none, empty, for its owner alone
// (Windows: as its folder hands down); close-on-exec. `path` is UTF-8, without a NUL.
Result OpenFile(const std::string& path);
Result CloseFile(FileHandle file);
// At least `size` bytes long from here on, and never shorter than before (but on macOS, where two that want different
// sizes do it at the same time). EINVAL: it is no regular file.
Result GrowFile(FileHandle file, size_t size);
// Which file it is, as long as it is open or mapped.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t number = 0;
};
Result IdentifyFile(FileHandle file, FileIdentity* identity);
// mmap(2) MAP_SHARED, MapViewOfFile: the first `size` bytes, which the file must have. Stays when the file is closed.
Result MapFile(FileHandle file, size_t size, void** memory);
void UnmapFile(void* memory, size_t size);
// flock(2), LockFileEx: 1, or without waiting 0 where somebody else has the lock. Not to be asked for twice: Windows
// would wait for itself.
Result AcquireFileLock(FileHandle file, bool wait);
Result ReleaseFileLock(FileHandle file);

// getaddrinfo(3)'s errors by the names that Node has for them: EAI_NONAME and EAI_NODATA are ENOTFOUND. Null: unknown.
const char* ResolverErrorName(int error);
// The error of the system call that failed within getaddrinfo(3), just now (EAI_SYSTEM); 0 for every other error.
int ResolverSystemError(int error);

// A function of the program that loaded the addon, by name; null where it has none of that name.
void* FindProgramFunction(const char* name);

}  // namespace selectors
