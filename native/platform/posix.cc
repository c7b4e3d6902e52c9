// platform.h on POSIX systems: Linux, macOS, the BSDs, Solaris and illumos.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>

#include "core/syscall.h"
#include "core/transfer.h"
#include "core/wait.h"
#include "platform/platform.h"

#if defined(__linux__)
#include <sys/eventfd.h>
#elif defined(__FreeBSD__) || defined(__DragonFly__)
#include <pthread_np.h>
#elif defined(__NetBSD__)
#include <lwp.h>
#endif

namespace selectors {

int LastError() { return errno; }

Result StartNetwork() { return Result::Ok(0); }

int ProcessId() { return static_cast<int>(getpid()); }

namespace {

// pthread_t is a pointer on most systems, so each has a call of its own. On Solaris it is the number of the LWP, which
// truss(1) and ps(1) show.
uint32_t AskThreadId() {
#if defined(__linux__)
  return static_cast<uint32_t>(::syscall(SYS_gettid));
#elif defined(__APPLE__)
  uint64_t id = 0;
  pthread_threadid_np(nullptr, &id);
  return static_cast<uint32_t>(id);
#elif defined(__FreeBSD__) || defined(__DragonFly__)
  return static_cast<uint32_t>(pthread_getthreadid_np());
#elif defined(__OpenBSD__)
  return static_cast<uint32_t>(getthrid());
#elif defined(__NetBSD__)
  return static_cast<uint32_t>(_lwp_self());
#else
  return static_cast<uint32_t>(pthread_self());
#endif
}

}  // namespace

uint32_t ThreadId() {
  static const thread_local uint32_t id = AskThreadId();
  return id;
}

double MonotonicMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void SleepMilliseconds(double milliseconds) {
  const SecondsAndNanoseconds split = SplitTimeout(milliseconds, 1);
  timespec left{split.seconds, split.nanoseconds};
  // Interrupted by a signal: sleep for the rest.
  while (!CallUntraced<::nanosleep>(&left, &left).ok()) {
  }
}

namespace {

struct ThreadStart {
  void (*body)(void*);
  void* argument;
  std::shared_ptr<Recorder> recorder;  // of the environment that starts the thread
};

void* RunThread(void* data) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(data));
  const RecorderScope recorded(start->recorder);
  start->body(start->argument);
  return nullptr;
}

}  // namespace

Result Thread::Start(void (*body)(void*), void* argument) {
  auto start = std::make_unique<ThreadStart>(ThreadStart{body, argument, Recorder::OfCurrentThread()});
  // The new thread inherits the mask, so signals are only delivered to the threads that run JavaScript.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  const auto set_mask = [](const sigset_t* mask, sigset_t* old) {
    Call<::pthread_sigmask>(SIG_SETMASK, mask, old).Ignore("it fails only for another first argument (EINVAL)");
  };
  set_mask(&all, &before);
  const int error = pthread_create(&handle_, nullptr, RunThread, start.get());
  set_mask(&before, nullptr);
  if (error != 0) return Result::Error(error);
  static_cast<void>(start.release());  // RunThread deletes it
  started_ = true;
  return Result::Ok(0);
}

void Thread::Join() {
  if (started_) pthread_join(handle_, nullptr);
  started_ = false;
}

namespace {

// After EINTR the descriptor is closed nevertheless (close(2) on Linux; macOS and the BSDs likewise): closing it again
// could close another file, and the caller could not do anything about the error (PEP 475, libuv).
Result IgnoreInterrupt(Result closed) { return !closed.ok() && closed.error() == EINTR ? Result::Ok(0) : closed; }

}  // namespace

Result CloseFd(Fd fd) { return IgnoreInterrupt(Call<::close>(fd)); }

Result DuplicateFd(Fd fd) { return Call<::fcntl>(fd, F_DUPFD_CLOEXEC, 0); }

Result IsOpenFd(Fd fd) { return Call<::fcntl>(fd, F_GETFD); }

Result SetNonBlocking(Fd fd, bool on) {
  const Result flags = Call<::fcntl>(fd, F_GETFL);
  if (!flags.ok()) return flags;
  const int old = static_cast<int>(flags.value());
  const int wanted = on ? old | O_NONBLOCK : old & ~O_NONBLOCK;
  return wanted == old ? Result::Ok(0) : Call<::fcntl>(fd, F_SETFL, wanted);
}

Result IsNonBlocking(Fd fd) {
  const Result flags = Call<::fcntl>(fd, F_GETFL);
  return flags.ok() ? Result::Ok((flags.value() & O_NONBLOCK) != 0) : flags;
}

Result SetInheritable(Fd fd, bool on) {
  const Result flags = Call<::fcntl>(fd, F_GETFD);
  if (!flags.ok()) return flags;
  const int old = static_cast<int>(flags.value());
  return Call<::fcntl>(fd, F_SETFD, on ? old & ~FD_CLOEXEC : old | FD_CLOEXEC);
}

Result IsInheritable(Fd fd) {
  const Result flags = Call<::fcntl>(fd, F_GETFD);
  return flags.ok() ? Result::Ok((flags.value() & FD_CLOEXEC) == 0) : flags;
}

// The system sets close-on-exec at creation, and accept4 non-blocking mode: Linux, FreeBSD 10, OpenBSD 5.7, NetBSD 8,
// illumos, Solaris 11.4. Their calls have no other argument for SIGPIPE than MSG_NOSIGNAL in each send.
#ifdef SOCK_CLOEXEC

Result OpenSocket(int family, int type, int protocol) { return Call<::socket>(family, type | SOCK_CLOEXEC, protocol); }

Result OpenSocketPair(int family, int type, int protocol, Fd pair[2]) {
  return Call<::socketpair>(family, type | SOCK_CLOEXEC, protocol, pair);
}

Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length) {
  return CallRetry<::accept4>(listener, address, length, SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0));
}

#else

namespace {

// macOS has no flags for it at creation. A fork in another thread between the two calls inherits the descriptor.
Result WithCloseOnExec(Result opened) {
  if (!opened.ok()) return opened;
  const int fd = static_cast<int>(opened.value());
  const Result inheritable = SetInheritable(fd, false);
  if (inheritable.ok()) return opened;
  CloseFd(fd).Ignore("the descriptor is discarded");
  return inheritable;
}

Result WithSocketDefaults(Result opened) {
  const Result prepared = WithCloseOnExec(opened);
#ifdef SO_NOSIGPIPE
  if (prepared.ok()) {
    const int on = 1;
    Call<::setsockopt>(static_cast<int>(prepared.value()), SOL_SOCKET, SO_NOSIGPIPE, static_cast<const void*>(&on),
                       static_cast<socklen_t>(sizeof on))
        .Ignore("EINVAL: the peer of an accepted connection has closed it already");
  }
#endif
  return prepared;
}

}  // namespace

Result OpenSocket(int family, int type, int protocol) {
  return WithSocketDefaults(Call<::socket>(family, type, protocol));
}

Result OpenSocketPair(int family, int type, int protocol, Fd pair[2]) {
  const Result made = Call<::socketpair>(family, type, protocol, pair);
  if (!made.ok()) return made;
  for (int i = 0; i < 2; ++i) {
    const Result prepared = WithSocketDefaults(Result::Ok(pair[i]));
    if (prepared.ok()) continue;
    CloseFd(pair[1 - i]).Ignore("the pair is discarded");
    return prepared;
  }
  return made;
}

Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length) {
  const Result accepted = WithSocketDefaults(CallRetry<::accept>(listener, address, length));
  if (!accepted.ok()) return accepted;
  // On BSD systems an accepted connection inherits O_NONBLOCK from its listener.
  const Result set = SetNonBlocking(static_cast<Fd>(accepted.value()), non_blocking);
  if (set.ok()) return accepted;
  CloseFd(static_cast<Fd>(accepted.value())).Ignore("the connection is discarded");
  return set;
}

#endif

#ifdef __linux__

Result OpenWakeChannel(Fd* read, Fd* write) {
  const Result fd = Call<::eventfd>(0U, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd.ok()) *read = *write = static_cast<Fd>(fd.value());
  return fd;
}

namespace {

constexpr uint64_t kWakeUp = 1;  // added to the eventfd's counter

}  // namespace

#else

Result OpenWakeChannel(Fd* read, Fd* write) {
  int ends[2];
  const Result made = Call<::pipe>(ends);
  if (!made.ok()) return made;
  for (int i = 0; i < 2; ++i) {
    Result prepared = SetInheritable(ends[i], false);
    if (prepared.ok()) prepared = SetNonBlocking(ends[i], true);
    if (prepared.ok()) continue;
    for (const int end : ends) CloseFd(end).Ignore("the pipe is discarded");
    return prepared;
  }
  *read = ends[0];
  *write = ends[1];
  return made;
}

namespace {

constexpr uint8_t kWakeUp = '!';

}  // namespace

#endif

namespace {

// EAGAIN: the counter is at its maximum, or the pipe is full, so the channel is readable already.
Result IgnoreFull(Result written) { return !written.ok() && written.error() == EAGAIN ? Result::Ok(0) : written; }

}  // namespace

Result SignalWakeChannel(Fd write) {
  return IgnoreFull(CallRetry<::write>(write, static_cast<const void*>(&kWakeUp), sizeof kWakeUp));
}

Result SignalWakeChannelFromHandler(Fd write) {
  for (;;) {
    const Result written = CallUntraced<::write>(write, static_cast<const void*>(&kWakeUp), sizeof kWakeUp);
    if (written.ok() || written.error() != EINTR) return IgnoreFull(written);
  }
}

void DrainWakeChannel(Fd read) {
  char bytes[64];
  // An eventfd returns its counter, 8 bytes, in one read; a pipe may hold more wake-ups than fit the buffer.
  while (CallRetry<::read>(read, static_cast<void*>(bytes), sizeof bytes).value() ==
         static_cast<int64_t>(sizeof bytes)) {
  }
}

Result SendVectored(Fd fd, const IoBuffer* buffers, size_t count) {
  iovec vector[kMaxIov];
  const size_t used = std::min(count, kMaxIov);
  for (size_t i = 0; i < used; ++i) vector[i] = {const_cast<uint8_t*>(buffers[i].data), buffers[i].size};
  msghdr message{};
  message.msg_iov = vector;
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(used);
  return MapSendError(CallRetry<::sendmsg>(fd, static_cast<const msghdr*>(&message), kNoSignal));
}

std::span<const uint8_t> ControlData(const msghdr& message, const cmsghdr& header) {
  const auto* const data = reinterpret_cast<const uint8_t*>(&header) + CMSG_LEN(0);
  const auto* const end = static_cast<const uint8_t*>(message.msg_control) + message.msg_controllen;
  const auto length = static_cast<size_t>(header.cmsg_len);
  if (data >= end || length <= CMSG_LEN(0)) return {};
  return {data, std::min(length - CMSG_LEN(0), static_cast<size_t>(end - data))};
}

const cmsghdr* NextControl(const msghdr& message, const cmsghdr* header) {
  // The macros compare signed and unsigned numbers (musl), and some take no constant header.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
  header = header == nullptr ? CMSG_FIRSTHDR(&message)
                             : CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(header));
#pragma GCC diagnostic pop
  // Not a header if shorter than one: some systems' CMSG_NXTHDR would return it forever.
  return header != nullptr && header->cmsg_len >= CMSG_LEN(0) ? header : nullptr;
}

Result PollFds(PollFd* fds, size_t count, int timeout) {
  return Call<::poll>(fds, static_cast<nfds_t>(count), timeout);
}

Result SelectFds(Fd highest, fd_set* read, fd_set* write, fd_set* except, double timeout) {
  timeval time{};
  if (timeout > 0) {
    const SecondsAndNanoseconds split = SplitTimeout(timeout, 1e3);
    time.tv_sec = split.seconds;
    time.tv_usec = static_cast<decltype(time.tv_usec)>(split.nanoseconds / 1000);
  }
  return Call<::select>(highest + 1, read, write, except, timeout < 0 ? static_cast<timeval*>(nullptr) : &time);
}

namespace {

// The handlers of each signal. CallHandlers reads them in any thread, between any two instructions.
struct SignalHandlers {
  std::atomic<void (*)(int)> handler;
  std::atomic<bool> calls_former;  // CallHandlers also calls `former`
  struct sigaction former;
};
SignalHandlers signal_handlers[NSIG];

void CallHandlers(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const SignalHandlers& entry = signal_handlers[signal];
  if (void (*const handler)(int) = entry.handler) handler(signal);
  if (entry.calls_former) {
    if ((entry.former.sa_flags & SA_SIGINFO) != 0) {
      entry.former.sa_sigaction(signal, info, context);
    } else {
      entry.former.sa_handler(signal);
    }
  }
  errno = error;
}

bool IsCallHandlers(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == CallHandlers;
}

// SA_RESETHAND marks Node's own handler of SIGINT and SIGTERM, which ends the process like the default action.
bool IsChained(const struct sigaction& action) {
  // A cast: the macro is unsigned in some headers.
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) return false;
  return (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

}  // namespace

namespace {

// flags: SA_RESTART, or 0 for a signal that interrupts system calls.
Result CatchSignalWith(int flags, int signal, void (*handler)(int)) {
  if (signal <= 0 || signal >= NSIG) return Result::Error(EINVAL);
  struct sigaction current {};
  const Result asked = Call<::sigaction>(signal, static_cast<const struct sigaction*>(nullptr), &current);
  if (!asked.ok()) return asked;
  SignalHandlers& entry = signal_handlers[signal];
  entry.handler = handler;
  if (IsCallHandlers(current)) return Result::Ok(0);
  entry.calls_former = false;
  entry.former = current;
  entry.calls_former = IsChained(current);
  struct sigaction action {};
  action.sa_sigaction = CallHandlers;
  action.sa_flags = SA_SIGINFO | flags;
  sigfillset(&action.sa_mask);
  const Result set =
      Call<::sigaction>(signal, static_cast<const struct sigaction*>(&action), static_cast<struct sigaction*>(nullptr));
  return set.ok() ? Result::Ok(1) : set;
}

// Ignored by default, so that one that arrives late does no harm; Go's runtime interrupts its threads with it, too.
constexpr int kInterruptSignal = SIGURG;

Result CatchInterruptSignal() {
  static auto* const mutex = new std::mutex;
  const std::lock_guard lock(*mutex);
  return CatchSignalWith(0, kInterruptSignal, [](int) {});
}

}  // namespace

Result CatchSignal(int signal, void (*handler)(int)) { return CatchSignalWith(SA_RESTART, signal, handler); }

#ifdef __linux__
InterruptTarget CurrentThread() { return static_cast<pid_t>(ThreadId()); }
#else
InterruptTarget CurrentThread() { return pthread_self(); }
#endif

Result CatchInterrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, kInterruptSignal);
  Call<::pthread_sigmask>(SIG_UNBLOCK, static_cast<const sigset_t*>(&signals), static_cast<sigset_t*>(nullptr))
      .Ignore("it fails only for another first argument (EINVAL)");
  return CatchInterruptSignal();
}

Result InterruptThread(InterruptTarget thread) {
  const Result caught = CatchInterruptSignal();  // other code may have replaced the handler
  if (!caught.ok()) return caught;
#ifdef __linux__
  return Call<SignalThread>(getpid(), thread, kInterruptSignal);
#else
  return Call<::pthread_kill>(thread, kInterruptSignal);
#endif
}

void RestoreSignal(int signal) {
  struct sigaction current {};
  const Result asked = Call<::sigaction>(signal, static_cast<const struct sigaction*>(nullptr), &current);
  if (!asked.ok() || !IsCallHandlers(current)) return;  // other code has replaced the handler since
  Call<::sigaction>(signal, static_cast<const struct sigaction*>(&signal_handlers[signal].former),
                    static_cast<struct sigaction*>(nullptr))
      .Ignore("it was installed before");
  signal_handlers[signal].handler = nullptr;
}

void EndProcessBySignal(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, signal);
  CallUntraced<::sigaction>(signal, static_cast<const struct sigaction*>(&action),
                            static_cast<struct sigaction*>(nullptr))
      .Ignore("what follows ends the process in any case");
  static_cast<void>(::raise(signal));  // what follows ends the process in any case
  // raise() leaves it pending: a handler runs with all signals blocked.
  ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  ::_exit(128 + signal);
}

Result OpenFile(const std::string& path) {
  return CallRetry<::open>(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, mode_t{S_IRUSR | S_IWUSR});
}

Result CloseFile(FileHandle file) { return IgnoreInterrupt(Call<::close>(file)); }

Result GrowFile(FileHandle file, size_t size) {
  struct stat status {};
  const Result known = Call<::fstat>(file, &status);
  if (!known.ok()) return known;
  if (!S_ISREG(status.st_mode)) return Result::Error(EINVAL);
  if (static_cast<uint64_t>(status.st_size) >= size) return Result::Ok(0);
#ifdef __linux__
  // Not ftruncate(2), which would shorten a file that another process has grown since fstat. fallocate(2) also reserves
  // the blocks: a full disk is ENOSPC here, not SIGBUS at the first access.
  const Result grown = CallRetry<::fallocate>(file, 0, off_t{0}, static_cast<off_t>(size));
  if (grown.ok() || (grown.error() != EOPNOTSUPP && grown.error() != ENOSYS)) return grown;
#endif
  return CallRetry<::ftruncate>(file, static_cast<off_t>(size));
}

Result IdentifyFile(FileHandle file, FileIdentity* identity) {
  struct stat status {};
  const Result known = Call<::fstat>(file, &status);
  identity->device = static_cast<uint64_t>(status.st_dev);
  identity->number = static_cast<uint64_t>(status.st_ino);
  return known;
}

Result MapFile(FileHandle file, size_t size, void** memory) {
  const Result mapped =
      Call<::mmap>(static_cast<void*>(nullptr), size, PROT_READ | PROT_WRITE, MAP_SHARED, file, off_t{0});
  if (!mapped.ok()) return mapped;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer before
  *memory = reinterpret_cast<void*>(mapped.value());
  return Result::Ok(0);
}

void UnmapFile(void* memory, size_t size) {
  Call<::munmap>(memory, size).Ignore("it fails only for memory that MapFile did not map (EINVAL)");
}

Result AcquireFileLock(FileHandle file, bool wait) {
  const Result taken = CallRetry<::flock>(file, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
  if (taken.ok()) return Result::Ok(1);
  return taken.error() == EWOULDBLOCK ? Result::Ok(0) : taken;
}

Result ReleaseFileLock(FileHandle file) { return CallRetry<::flock>(file, LOCK_UN); }

const char* ResolverErrorName(int error) {
  // Not a switch: on some systems two of them are the same number.
  if (error == EAI_NONAME) return "ENOTFOUND";
#ifdef EAI_NODATA
  if (error == EAI_NODATA) return "ENOTFOUND";
#endif
  if (error == EAI_AGAIN) return "EAI_AGAIN";
  if (error == EAI_BADFLAGS) return "EAI_BADFLAGS";
  if (error == EAI_FAIL) return "EAI_FAIL";
  if (error == EAI_FAMILY) return "EAI_FAMILY";
  if (error == EAI_MEMORY) return "EAI_MEMORY";
  if (error == EAI_SERVICE) return "EAI_SERVICE";
  if (error == EAI_SOCKTYPE) return "EAI_SOCKTYPE";
#ifdef EAI_ADDRFAMILY
  if (error == EAI_ADDRFAMILY) return "EAI_ADDRFAMILY";
#endif
#ifdef EAI_BADHINTS
  if (error == EAI_BADHINTS) return "EAI_BADHINTS";
#endif
#ifdef EAI_CANCELED
  if (error == EAI_CANCELED) return "EAI_CANCELED";
#endif
#ifdef EAI_OVERFLOW
  if (error == EAI_OVERFLOW) return "EAI_OVERFLOW";
#endif
#ifdef EAI_PROTOCOL
  if (error == EAI_PROTOCOL) return "EAI_PROTOCOL";
#endif
  return nullptr;
}

int ResolverSystemError(int error) { return error == EAI_SYSTEM ? errno : 0; }

void* FindProgramFunction(const char* name) { return dlsym(RTLD_DEFAULT, name); }

bool FitsFdSet(Fd fd, size_t) { return fd >= 0 && fd < FD_SETSIZE; }

}  // namespace selectors
