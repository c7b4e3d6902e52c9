// platform.h on Windows: Winsock 2.
#include <process.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cmath>
#include <cstring>
#include <memory>

#include "core/syscall.h"
#include "core/wait.h"
#include "platform/platform.h"
#include "platform/win_ports.h"

namespace selectors {
namespace {

// Makes a new socket non-inheritable, or closes it.
Result WithoutInheritance(Result opened) {
  if (!opened.ok()) return opened;
  const Fd fd = static_cast<Fd>(opened.value());
  const Result set = SetInheritable(fd, false);
  if (set.ok()) return opened;
  CloseFd(fd).Ignore("the socket is discarded");
  return set;
}

}  // namespace

int LastError() { return WSAGetLastError(); }

Result StartNetwork() {
  // Winsock counts these calls. Node has made one too, and the end of the process undoes them all.
  WSADATA data;
  const int error = WSAStartup(MAKEWORD(2, 2), &data);
  return error == 0 ? Result::Ok(0) : Result::Error(error);
}

int ProcessId() { return static_cast<int>(GetCurrentProcessId()); }
uint32_t ThreadId() { return GetCurrentThreadId(); }

double MonotonicMilliseconds() {
  LARGE_INTEGER frequency;
  LARGE_INTEGER now;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&now);
  return static_cast<double>(now.QuadPart) * 1e3 / static_cast<double>(frequency.QuadPart);
}

void SleepMilliseconds(double milliseconds) {
  CallUntraced<SleepFor>(static_cast<DWORD>(CeilMilliseconds(milliseconds))).Ignore("Sleep cannot fail");
}

namespace {

struct ThreadStart {
  void (*body)(void*);
  void* argument;
  std::shared_ptr<Recorder> recorder;  // of the environment that starts the thread
};

unsigned __stdcall RunThread(void* data) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(data));
  const RecorderScope recorded(start->recorder);
  start->body(start->argument);
  return 0;
}

}  // namespace

Result Thread::Start(void (*body)(void*), void* argument) {
  auto start = std::make_unique<ThreadStart>(ThreadStart{body, argument, Recorder::OfCurrentThread()});
  const uintptr_t handle = _beginthreadex(nullptr, 0, RunThread, start.get(), 0, nullptr);
  if (handle == 0) return Result::Error(kNoMemory);
  static_cast<void>(start.release());  // RunThread deletes it
  handle_ = reinterpret_cast<HANDLE>(handle);
  started_ = true;
  return Result::Ok(0);
}

void Thread::Join() {
  if (!started_) return;
  Call<::WaitForSingleObject>(handle_, DWORD{INFINITE}).Ignore("the handle is open");
  Call<::CloseHandle>(handle_).Ignore("it was open");
  started_ = false;
}

Result CloseFd(Fd fd) {
  ForgetPortOf(reinterpret_cast<HANDLE>(fd));
  return Call<::closesocket>(fd);
}

Result DuplicateFd(Fd fd) {
  WSAPROTOCOL_INFOW info;
  const Result described = Call<::WSADuplicateSocketW>(fd, GetCurrentProcessId(), &info);
  if (!described.ok()) return described;
  const Result made = Call<::WSASocketW>(info.iAddressFamily, info.iSocketType, info.iProtocol, &info, GROUP{0},
                                         DWORD{WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT});
  const HANDLE port = PortOf(reinterpret_cast<HANDLE>(fd));
  if (made.ok() && port != nullptr) RememberPort(reinterpret_cast<HANDLE>(made.value()), port);
  return made;
}

Result IsOpenFd(Fd fd) {
  int type = 0;
  int length = sizeof type;
  return Call<::getsockopt>(fd, SOL_SOCKET, SO_TYPE, reinterpret_cast<char*>(&type), &length);
}

Result SetNonBlocking(Fd fd, bool on) {
  u_long mode = on ? 1 : 0;
  return Call<::ioctlsocket>(fd, static_cast<long>(FIONBIO), &mode);
}

Result IsNonBlocking(Fd) { return Result::Error(WSAEINVAL); }

Result SetInheritable(Fd fd, bool on) {
  return Call<::SetHandleInformation>(reinterpret_cast<HANDLE>(fd), DWORD{HANDLE_FLAG_INHERIT},
                                      on ? DWORD{HANDLE_FLAG_INHERIT} : DWORD{0});
}

Result IsInheritable(Fd fd) {
  DWORD flags = 0;
  const Result known = Call<::GetHandleInformation>(reinterpret_cast<HANDLE>(fd), &flags);
  return known.ok() ? Result::Ok((flags & HANDLE_FLAG_INHERIT) != 0) : known;
}

Result OpenSocket(int family, int type, int protocol) {
  return Call<::WSASocketW>(family, type, protocol, static_cast<WSAPROTOCOL_INFOW*>(nullptr), GROUP{0},
                            DWORD{WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT});
}

Result OpenSocketPair(int, int, int, Fd[2]) { return Result::Error(WSAEOPNOTSUPP); }

Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length) {
  // Winsock fails with WSAEFAULT if the buffer is too small; other systems truncate the address.
  sockaddr_storage peer{};
  int size = sizeof peer;
  const Result accepted = WithoutInheritance(Call<::accept>(listener, reinterpret_cast<sockaddr*>(&peer), &size));
  if (!accepted.ok()) return accepted;
  std::memcpy(address, &peer, static_cast<size_t>(std::min(*length, size)));
  *length = size;
  // On Windows an accepted connection inherits FIONBIO from its listener.
  const Result set = SetNonBlocking(static_cast<Fd>(accepted.value()), non_blocking);
  if (set.ok()) return accepted;
  CloseFd(static_cast<Fd>(accepted.value())).Ignore("the connection is discarded");
  return set;
}

Result SendVectored(Fd fd, const IoBuffer* buffers, size_t count) {
  WSABUF vector[kMaxIov];
  const size_t used = std::min(count, kMaxIov);
  for (size_t i = 0; i < used; ++i) {
    vector[i].buf = reinterpret_cast<char*>(const_cast<uint8_t*>(buffers[i].data));
    vector[i].len = static_cast<ULONG>(std::min<size_t>(buffers[i].size, ULONG_MAX));
  }
  DWORD sent = 0;
  const Result result =
      Call<::WSASend>(fd, static_cast<WSABUF*>(vector), static_cast<DWORD>(used), &sent, DWORD{0},
                      static_cast<WSAOVERLAPPED*>(nullptr), LPWSAOVERLAPPED_COMPLETION_ROUTINE{nullptr});
  return result.ok() ? Result::Ok(sent) : result;
}

namespace {

Result PollOnce(PollFd* fds, size_t count, int timeout) {
  // The array may have the results of the last call, and Wine 8 does not write every entry when it fails.
  for (size_t i = 0; i < count; ++i) fds[i].revents = 0;
  const Result result = Call<::WSAPoll>(fds, static_cast<ULONG>(count), timeout);
  if (result.ok() || result.error() != WSAENOTSOCK) return result;
  int64_t ready = 0;
  for (size_t i = 0; i < count; ++i) ready += fds[i].revents != 0;
  return ready > 0 ? Result::Ok(ready) : result;
}

// Windows before 10, version 2004, never reports a failed connect to WSAPoll (WSAPoll's documentation). select does, in
// its except set. The interval in milliseconds at which select is called while WSAPoll reports nothing writable.
constexpr int kFailedConnectInterval = 100;

bool MayBeConnecting(const PollFd& fd) { return (fd.events & POLLOUT) != 0 && fd.revents == 0; }

// The except set also reports sockets with out-of-band data; those have a peer.
bool HasPeer(Fd fd) {
  sockaddr_storage peer{};
  int size = sizeof peer;
  return Call<::getpeername>(fd, reinterpret_cast<sockaddr*>(&peer), &size).ok();
}

// Adds the failed connects that WSAPoll did not report, with the events of newer Windows versions. Returns how many.
int64_t AddFailedConnects(PollFd* fds, size_t count) {
  int64_t added = 0;
  for (size_t first = 0; first < count;) {
    fd_set except;
    FD_ZERO(&except);
    size_t end = first;
    for (; end < count && except.fd_count < FD_SETSIZE; ++end) {
      if (MayBeConnecting(fds[end])) except.fd_array[except.fd_count++] = fds[end].fd;
    }
    timeval now{};
    // If a socket was closed meanwhile, select fails for the whole set. The next WSAPoll reports that socket.
    const bool found =
        except.fd_count > 0 &&
        Call<::select>(0, static_cast<fd_set*>(nullptr), static_cast<fd_set*>(nullptr), &except, &now).value() > 0;
    for (; first < end; ++first) {
      PollFd& fd = fds[first];
      if (!found || !MayBeConnecting(fd) || FD_ISSET(fd.fd, &except) == 0 || HasPeer(fd.fd)) continue;
      fd.revents = POLLHUP | POLLERR | POLLOUT;
      ++added;
    }
  }
  return added;
}

}  // namespace

Result PollFds(PollFd* fds, size_t count, int timeout) {
  if (count == 0) {
    return Call<SleepFor>(timeout < 0 ? DWORD{INFINITE} : static_cast<DWORD>(timeout));
  }
  if (std::none_of(fds, fds + count, [](const PollFd& fd) { return (fd.events & POLLOUT) != 0; })) {
    return PollOnce(fds, count, timeout);
  }
  const double deadline = MonotonicMilliseconds() + timeout;
  for (int remaining = timeout;;) {
    const bool is_last = remaining >= 0 && remaining <= kFailedConnectInterval;
    const Result result = PollOnce(fds, count, is_last ? remaining : kFailedConnectInterval);
    if (!result.ok()) return result;
    const int64_t found = result.value() + AddFailedConnects(fds, count);
    if (found > 0 || is_last) return Result::Ok(found);
    if (remaining >= 0) remaining = std::max(0, CeilMilliseconds(std::max(0.0, deadline - MonotonicMilliseconds())));
  }
}

Result SelectFds(Fd, fd_set* read, fd_set* write, fd_set* except, double timeout) {
  const auto is_empty = [](const fd_set* set) { return set == nullptr || set->fd_count == 0; };
  if (is_empty(read) && is_empty(write) && is_empty(except)) {
    return Call<SleepFor>(timeout < 0 ? DWORD{INFINITE} : static_cast<DWORD>(CeilMilliseconds(timeout)));
  }
  timeval time{};
  if (timeout >= 0) {
    const SecondsAndNanoseconds split = SplitTimeout(timeout, 1e3);
    time.tv_sec = split.seconds;
    time.tv_usec = split.nanoseconds / 1000;
  }
  return Call<::select>(0, read, write, except, timeout < 0 ? static_cast<timeval*>(nullptr) : &time);
}

namespace {

// The console events that Node reports as signals. Windows' headers do not define SIGHUP.
constexpr int kHangUp = 1;
struct ConsoleEvent {
  DWORD event;
  int signal;
  std::atomic<void (*)(int)> handler;
};
ConsoleEvent console_events[] = {
    {CTRL_C_EVENT, SIGINT, nullptr}, {CTRL_BREAK_EVENT, SIGBREAK, nullptr}, {CTRL_CLOSE_EVENT, kHangUp, nullptr}};

// The console window is being closed.
std::atomic<bool> console_is_closing = false;

BOOL WINAPI OnConsoleEvent(DWORD event) {
  for (const ConsoleEvent& entry : console_events) {
    void (*const handler)(int) = entry.handler;
    if (entry.event != event || handler == nullptr) continue;
    if (event == CTRL_CLOSE_EVENT) console_is_closing = true;
    handler(entry.signal);
    // Windows ends the process as soon as the handlers of this event have returned, and after five seconds at the
    // latest. This thread sleeps until then, so that the loop has that time (libuv, src/win/signal.c).
    if (event == CTRL_CLOSE_EVENT) CallUntraced<SleepFor>(DWORD{INFINITE}).Ignore("it does not return");
    return TRUE;
  }
  return FALSE;
}

}  // namespace

Result CatchSignal(int signal, void (*handler)(int)) {
  for (ConsoleEvent& entry : console_events) {
    if (entry.signal != signal) continue;
    entry.handler = handler;
    // Windows locks its list of handlers while they run, and OnConsoleEvent sleeps in one: the call below would block.
    if (console_is_closing) return Result::Ok(0);
    // Removed and added again, it is the first in the list: Windows calls the handler that was added last first.
    Call<::SetConsoleCtrlHandler>(OnConsoleEvent, FALSE).Ignore("it was not in the list");
    return StatusOf(Call<::SetConsoleCtrlHandler>(OnConsoleEvent, TRUE));
  }
  return Result::Error(WSAEINVAL);
}

void RestoreSignal(int signal) {
  for (ConsoleEvent& entry : console_events) {
    if (entry.signal == signal) entry.handler = nullptr;
  }
}

void EndProcessBySignal(int) {
  // The exit code that Windows' default handler uses (STATUS_CONTROL_C_EXIT).
  constexpr UINT kControlCExit = 0xC000'013A;
  ::TerminateProcess(::GetCurrentProcess(), kControlCExit);
}

namespace {

std::wstring WidePath(const std::string& path) {
  const int bytes = static_cast<int>(std::min<size_t>(path.size(), INT_MAX));
  std::wstring wide(static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, path.data(), bytes, nullptr, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), bytes, wide.data(), static_cast<int>(wide.size()));
  return wide;
}

HANDLE HandleOf(FileHandle file) { return reinterpret_cast<HANDLE>(file); }

// The byte that is locked. Windows' locks are mandatory, so it is beyond the end of any file that is mapped here.
OVERLAPPED LockedByte() {
  OVERLAPPED position{};
  position.OffsetHigh = 0x4000'0000;
  return position;
}

}  // namespace

Result OpenFile(const std::string& path) {
  const std::wstring wide = WidePath(path);
  const Result opened = Call<::CreateFileW>(wide.c_str(), DWORD{GENERIC_READ | GENERIC_WRITE},
                                            DWORD{FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE}, nullptr,
                                            DWORD{OPEN_ALWAYS}, DWORD{FILE_ATTRIBUTE_NORMAL}, nullptr);
  if (opened.ok()) return opened;
  const Result attributes = Call<::GetFileAttributesW>(wide.c_str());
  // libuv's error for a directory: ERROR_INVALID_FUNCTION is EISDIR.
  const bool is_directory = attributes.ok() && (attributes.value() & FILE_ATTRIBUTE_DIRECTORY) != 0;
  return is_directory ? Result::Error(ERROR_INVALID_FUNCTION) : opened;
}

Result CloseFile(FileHandle file) { return StatusOf(Call<::CloseHandle>(HandleOf(file))); }

namespace {

// Creating a section grows the file to the section's size; it never becomes shorter.
Result CreateSection(FileHandle file, size_t size, HANDLE* section) {
  if (Call<::GetFileType>(HandleOf(file)).value() != FILE_TYPE_DISK) return Result::Error(WSAEINVAL);
  const auto wide = static_cast<uint64_t>(size);
  const Result made =
      Call<::CreateFileMappingW>(HandleOf(file), nullptr, DWORD{PAGE_READWRITE}, static_cast<DWORD>(wide >> 32),
                                 static_cast<DWORD>(wide & UINT32_MAX), nullptr);
  if (made.ok()) *section = HandleOf(static_cast<FileHandle>(made.value()));
  return StatusOf(made);
}

void CloseSection(HANDLE section) { Call<::CloseHandle>(section).Ignore("it was open"); }

}  // namespace

Result GrowFile(FileHandle file, size_t size) {
  HANDLE section = nullptr;
  const Result made = CreateSection(file, size, &section);
  if (made.ok()) CloseSection(section);
  return made;
}

Result IdentifyFile(FileHandle file, FileIdentity* identity) {
  BY_HANDLE_FILE_INFORMATION about{};
  const Result known = Call<::GetFileInformationByHandle>(HandleOf(file), &about);
  if (!known.ok()) return known;
  identity->device = about.dwVolumeSerialNumber;
  identity->number = static_cast<uint64_t>(about.nFileIndexHigh) << 32 | about.nFileIndexLow;
  return Result::Ok(0);
}

Result MapFile(FileHandle file, size_t size, void** memory) {
  HANDLE section = nullptr;
  const Result made = CreateSection(file, size, &section);
  if (!made.ok()) return made;
  const Result mapped = Call<::MapViewOfFile>(section, DWORD{FILE_MAP_ALL_ACCESS}, DWORD{0}, DWORD{0}, size);
  CloseSection(section);  // the view keeps a reference to it
  if (mapped.ok()) *memory = reinterpret_cast<void*>(static_cast<intptr_t>(mapped.value()));
  return StatusOf(mapped);
}

void UnmapFile(void* memory, size_t) {
  Call<::UnmapViewOfFile>(static_cast<const void*>(memory)).Ignore("it fails only for memory that MapFile did not map");
}

Result AcquireFileLock(FileHandle file, bool wait) {
  OVERLAPPED position = LockedByte();
  const DWORD flags = LOCKFILE_EXCLUSIVE_LOCK | (wait ? 0 : LOCKFILE_FAIL_IMMEDIATELY);
  const Result taken = Call<::LockFileEx>(HandleOf(file), flags, DWORD{0}, DWORD{1}, DWORD{0}, &position);
  if (taken.ok()) return Result::Ok(1);
  return taken.error() == ERROR_LOCK_VIOLATION || taken.error() == ERROR_IO_PENDING ? Result::Ok(0) : taken;
}

Result ReleaseFileLock(FileHandle file) {
  OVERLAPPED position = LockedByte();
  return StatusOf(Call<::UnlockFileEx>(HandleOf(file), DWORD{0}, DWORD{1}, DWORD{0}, &position));
}

const char* ResolverErrorName(int error) {
  // Winsock's getaddrinfo returns the error numbers of WSAGetLastError.
  if (error == WSAHOST_NOT_FOUND || error == WSANO_DATA) return "ENOTFOUND";
  if (error == WSATRY_AGAIN) return "EAI_AGAIN";
  if (error == WSAEINVAL) return "EAI_BADFLAGS";
  if (error == WSANO_RECOVERY) return "EAI_FAIL";
  if (error == WSAEAFNOSUPPORT) return "EAI_FAMILY";
  if (error == WSA_NOT_ENOUGH_MEMORY) return "EAI_MEMORY";
  if (error == WSATYPE_NOT_FOUND) return "EAI_SERVICE";
  if (error == WSAESOCKTNOSUPPORT) return "EAI_SOCKTYPE";
  return nullptr;
}

int ResolverSystemError(int) { return 0; }

void* FindProgramFunction(const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(nullptr), name));
}

bool FitsFdSet(Fd, size_t count) { return count < FD_SETSIZE; }

Result OpenWakeChannel(Fd* read, Fd* write) {
  const Result opened = OpenSocket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
  if (!opened.ok()) return opened;
  const Fd fd = static_cast<Fd>(opened.value());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  int length = sizeof address;
  // Connected to itself, it accepts datagrams from no other socket.
  Result result = Call<::bind>(fd, static_cast<const sockaddr*>(name), length);
  if (result.ok()) result = Call<::getsockname>(fd, name, &length);
  if (result.ok()) result = Call<::connect>(fd, static_cast<const sockaddr*>(name), length);
  if (result.ok()) result = SetNonBlocking(fd, true);
  if (!result.ok()) {
    CloseFd(fd).Ignore("the channel is discarded");
    return result;
  }
  *read = *write = fd;
  return result;
}

Result SignalWakeChannel(Fd write) {
  const Result result = Call<::send>(write, "!", 1, 0);
  // The receive buffer is full of wake-ups: the channel is readable already.
  return !result.ok() && result.error() == WSAEWOULDBLOCK ? Result::Ok(0) : result;
}

// Windows calls a console handler in a thread of its own, so any call is safe there.
Result SignalWakeChannelFromHandler(Fd write) { return SignalWakeChannel(write); }

void DrainWakeChannel(Fd read) {
  char byte;
  while (Call<::recv>(read, &byte, 1, 0).ok()) {
  }
}

}  // namespace selectors
