// Linux and macOS.
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

#include "core/syscall.h"
#include "core/transfer.h"
#include "core/wait.h"
#include "platform/platform.h"

#ifdef __linux__
#include <sys/eventfd.h>
#endif

namespace selectors {

int LastError() { return errno; }

Result StartNetwork() { return Result::Ok(0); }

int ProcessId() { return static_cast<int>(getpid()); }

uint32_t ThreadId() {
#ifdef __linux__
  static const thread_local auto id = static_cast<uint32_t>(::syscall(SYS_gettid));
  return id;
#else
  uint64_t id = 0;
  pthread_threadid_np(nullptr, &id);
  return static_cast<uint32_t>(id);
#endif
}

double MonotonicMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void SleepMilliseconds(double milliseconds) {
  const SecondsAndNanoseconds split = SplitTimeout(milliseconds, 1);
  timespec left{split.seconds, split.nanoseconds};
  // A signal: the rest follows.
  while (!CallUntraced<::nanosleep>(&left, &left).ok()) {
  }
}

namespace {

struct ThreadStart {
  void (*body)(void*);
  void* argument;
  std::shared_ptr<Recorder> recorder;  // what a thread does is its environment's
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
  // The new thread inherits the mask: signals go to the threads that run JavaScript.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  const auto set_mask = [](const sigset_t* mask, sigset_t* old) {
    Call<::pthread_sigmask>(SIG_SETMASK, mask, old).Ignore("EINVAL alone, for another first argument");
  };
  set_mask(&all, &before);
  const int error = pthread_create(&handle_, nullptr, RunThread, start.get());
  set_mask(&before, nullptr);
  if (error != 0) return Result::Error(error);
  static_cast<void>(start.release());  // RunThread's
  started_ = true;
  return Result::Ok(0);
}

void Thread::Join() {
  if (started_) pthread_join(handle_, nullptr);
  started_ = false;
}

namespace {

// After EINTR the descriptor is closed all the same (close(2), Linux; macOS and the BSDs do it as well): to close it
// again could close another file, and to report it is of no use to anybody (PEP 475, libuv).
Result Closed(Result closed) { return !closed.ok() && closed.error() == EINTR ? Result::Ok(0) : closed; }

}  // namespace

Result CloseFd(Fd fd) { return Closed(Call<::close>(fd)); }

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

#ifdef __linux__

Result OpenSocket(int family, int type, int protocol) { return Call<::socket>(family, type | SOCK_CLOEXEC, protocol); }

Result OpenSocketPair(int family, int type, int protocol, Fd pair[2]) {
  return Call<::socketpair>(family, type | SOCK_CLOEXEC, protocol, pair);
}

Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length) {
  return CallRetry<::accept4>(listener, address, length, SOCK_CLOEXEC | (non_blocking ? SOCK_NONBLOCK : 0));
}

Result OpenWakeChannel(Fd* read, Fd* write) {
  const Result fd = Call<::eventfd>(0U, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd.ok()) *read = *write = static_cast<Fd>(fd.value());
  return fd;
}

namespace {

constexpr uint64_t kWakeUp = 1;  // what an eventfd adds

}  // namespace

#else

namespace {

// macOS makes descriptors without flags; what lies between the two calls can only be lost to a fork in another thread.
Result Prepared(Result opened) {
  if (!opened.ok()) return opened;
  const int fd = static_cast<int>(opened.value());
  const Result inheritable = SetInheritable(fd, false);
  if (inheritable.ok()) return opened;
  CloseFd(fd).Ignore("the descriptor is given up");
  return inheritable;
}

Result PreparedSocket(Result opened) {
  const Result prepared = Prepared(opened);
#ifdef SO_NOSIGPIPE
  if (prepared.ok()) {
    const int on = 1;
    Call<::setsockopt>(static_cast<int>(prepared.value()), SOL_SOCKET, SO_NOSIGPIPE, static_cast<const void*>(&on),
                       static_cast<socklen_t>(sizeof on))
        .Ignore("EINVAL where the peer of an accepted connection has gone already");
  }
#endif
  return prepared;
}

}  // namespace

Result OpenSocket(int family, int type, int protocol) { return PreparedSocket(Call<::socket>(family, type, protocol)); }

Result OpenSocketPair(int family, int type, int protocol, Fd pair[2]) {
  const Result made = Call<::socketpair>(family, type, protocol, pair);
  if (!made.ok()) return made;
  for (int i = 0; i < 2; ++i) {
    const Result prepared = PreparedSocket(Result::Ok(pair[i]));
    if (prepared.ok()) continue;
    CloseFd(pair[1 - i]).Ignore("the pair is given up");
    return prepared;
  }
  return made;
}

Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length) {
  const Result accepted = PreparedSocket(CallRetry<::accept>(listener, address, length));
  if (!accepted.ok()) return accepted;
  // BSD's connections inherit O_NONBLOCK from their listener.
  const Result set = SetNonBlocking(static_cast<Fd>(accepted.value()), non_blocking);
  if (set.ok()) return accepted;
  CloseFd(static_cast<Fd>(accepted.value())).Ignore("the connection is given up");
  return set;
}

Result OpenWakeChannel(Fd* read, Fd* write) {
  int ends[2];
  const Result made = Call<::pipe>(ends);
  if (!made.ok()) return made;
  for (int i = 0; i < 2; ++i) {
    Result prepared = SetInheritable(ends[i], false);
    if (prepared.ok()) prepared = SetNonBlocking(ends[i], true);
    if (prepared.ok()) continue;
    for (const int end : ends) CloseFd(end).Ignore("the pipe is given up");
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

// EAGAIN: the counter is at its end, or the pipe full, so the channel is readable already.
Result Signalled(Result written) { return !written.ok() && written.error() == EAGAIN ? Result::Ok(0) : written; }

}  // namespace

Result SignalWakeChannel(Fd write) {
  return Signalled(CallRetry<::write>(write, static_cast<const void*>(&kWakeUp), sizeof kWakeUp));
}

Result SignalWakeChannelFromHandler(Fd write) {
  for (;;) {
    const Result written = CallUntraced<::write>(write, static_cast<const void*>(&kWakeUp), sizeof kWakeUp);
    if (written.ok() || written.error() != EINTR) return Signalled(written);
  }
}

void DrainWakeChannel(Fd read) {
  char bytes[64];
  // An eventfd gives its counter in one read of 8 bytes; a pipe may hold more than one buffer of wake-ups.
  while (CallRetry<::read>(read, static_cast<void*>(bytes), sizeof bytes).value() ==
         static_cast<int64_t>(sizeof bytes)) {
  }
}

Result SendVectored(Fd fd, const IoBuffer* pieces, size_t count) {
  iovec vector[kMaxIov];
  const size_t used = std::min(count, kMaxIov);
  for (size_t i = 0; i < used; ++i) vector[i] = {const_cast<uint8_t*>(pieces[i].data), pieces[i].size};
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

// A caught signal, read by its handler: in any thread, between any two instructions.
struct Caught {
  std::atomic<void (*)(int)> handler;
  std::atomic<bool> has_before;
  struct sigaction before;
};
Caught caught[NSIG];

void OnSignal(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const Caught& entry = caught[signal];
  if (void (*const handler)(int) = entry.handler) handler(signal);
  if (entry.has_before) {
    if ((entry.before.sa_flags & SA_SIGINFO) != 0) {
      entry.before.sa_sigaction(signal, info, context);
    } else {
      entry.before.sa_handler(signal);
    }
  }
  errno = error;
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == OnSignal;
}

// SA_RESETHAND: Node's own handler of SIGINT and SIGTERM, which ends the process in place of the system.
bool IsToBeCalled(const struct sigaction& action) {
  if ((action.sa_flags & SA_RESETHAND) != 0) return false;
  return (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

}  // namespace

Result CatchSignal(int signal, void (*handler)(int)) {
  if (signal <= 0 || signal >= NSIG) return Result::Error(EINVAL);
  struct sigaction present {};
  const Result asked = Call<::sigaction>(signal, static_cast<const struct sigaction*>(nullptr), &present);
  if (!asked.ok()) return asked;
  Caught& entry = caught[signal];
  entry.handler = handler;
  if (IsOurs(present)) return Result::Ok(0);
  entry.has_before = false;
  entry.before = present;
  entry.has_before = IsToBeCalled(present);
  struct sigaction ours {};
  ours.sa_sigaction = OnSignal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigfillset(&ours.sa_mask);
  const Result set =
      Call<::sigaction>(signal, static_cast<const struct sigaction*>(&ours), static_cast<struct sigaction*>(nullptr));
  return set.ok() ? Result::Ok(1) : set;
}

void RestoreSignal(int signal) {
  struct sigaction present {};
  const Result asked = Call<::sigaction>(signal, static_cast<const struct sigaction*>(nullptr), &present);
  if (!asked.ok() || !IsOurs(present)) return;  // somebody has put another handler in its place since
  Call<::sigaction>(signal, static_cast<const struct sigaction*>(&caught[signal].before),
                    static_cast<struct sigaction*>(nullptr))
      .Ignore("it was there before");
  caught[signal].handler = nullptr;
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
  // Pending until it is unblocked: a handler runs with all signals blocked.
  ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  ::_exit(128 + signal);
}

Result OpenFile(const std::string& path) {
  return CallRetry<::open>(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, mode_t{S_IRUSR | S_IWUSR});
}

Result CloseFile(FileHandle file) { return Closed(Call<::close>(file)); }

Result GrowFile(FileHandle file, size_t size) {
  struct stat status {};
  const Result known = Call<::fstat>(file, &status);
  if (!known.ok()) return known;
  if (!S_ISREG(status.st_mode)) return Result::Error(EINVAL);
  if (static_cast<uint64_t>(status.st_size) >= size) return Result::Ok(0);
#ifdef __linux__
  // Not ftruncate(2), which cuts what another process has made longer since fstat. And the blocks are there: a full
  // disk is ENOSPC here, and not SIGBUS at the first touch.
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
  Call<::munmap>(memory, size).Ignore("EINVAL alone, for what MapFile never gave");
}

Result AcquireFileLock(FileHandle file, bool wait) {
  const Result taken = CallRetry<::flock>(file, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
  if (taken.ok()) return Result::Ok(1);
  return taken.error() == EWOULDBLOCK ? Result::Ok(0) : taken;
}

Result ReleaseFileLock(FileHandle file) { return CallRetry<::flock>(file, LOCK_UN); }

const char* ResolverErrorName(int error) {
  // One by one: some systems have one number for two of them.
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
