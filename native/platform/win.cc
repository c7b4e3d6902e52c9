// Windows: Winsock 2.
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

// A socket that is not inherited and, from here on, is the caller's.
Result Uninherited(Result opened) {
  if (!opened.ok()) return opened;
  const Fd fd = static_cast<Fd>(opened.value());
  const Result set = SetInheritable(fd, false);
  if (set.ok()) return opened;
  CloseFd(fd).Ignore("the socket is given up");
  return set;
}

}  // namespace

int LastError() { return WSAGetLastError(); }

Result StartNetwork() {
  // Winsock counts these; Node has made one of its own, and the process's end undoes them all.
  WSADATA data;
  const int error = WSAStartup(MAKEWORD(2, 2), &data);
  return error == 0 ? Result::Ok(0) : Result::Error(error);
}

double MonotonicMilliseconds() {
  LARGE_INTEGER frequency;
  LARGE_INTEGER now;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&now);
  return static_cast<double>(now.QuadPart) * 1e3 / static_cast<double>(frequency.QuadPart);
}

namespace {

struct ThreadStart {
  void (*body)(void*);
  void* argument;
};

unsigned __stdcall RunThread(void* data) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(data));
  start->body(start->argument);
  return 0;
}

}  // namespace

Result Thread::Start(void (*body)(void*), void* argument) {
  auto start = std::make_unique<ThreadStart>(ThreadStart{body, argument});
  const uintptr_t handle = _beginthreadex(nullptr, 0, RunThread, start.get(), 0, nullptr);
  if (handle == 0) return Result::Error(kNoMemory);
  static_cast<void>(start.release());  // RunThread's
  handle_ = reinterpret_cast<HANDLE>(handle);
  started_ = true;
  return Result::Ok(0);
}

void Thread::Join() {
  if (!started_) return;
  WaitForSingleObject(handle_, INFINITE);
  CloseHandle(handle_);
  started_ = false;
}

Result CloseFd(Fd fd) {
  ForgetPortOf(reinterpret_cast<HANDLE>(fd));
  return Call(::closesocket, fd);
}

Result DuplicateFd(Fd fd) {
  WSAPROTOCOL_INFOW info;
  const Result described = Call(::WSADuplicateSocketW, fd, GetCurrentProcessId(), &info);
  if (!described.ok()) return described;
  const Result made = Call(::WSASocketW, info.iAddressFamily, info.iSocketType, info.iProtocol, &info, GROUP{0},
                           DWORD{WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT});
  const HANDLE port = PortOf(reinterpret_cast<HANDLE>(fd));
  if (made.ok() && port != nullptr) RememberPort(reinterpret_cast<HANDLE>(made.value()), port);
  return made;
}

Result IsOpenFd(Fd fd) {
  int type = 0;
  int length = sizeof type;
  return Call(::getsockopt, fd, SOL_SOCKET, SO_TYPE, reinterpret_cast<char*>(&type), &length);
}

Result SetNonBlocking(Fd fd, bool on) {
  u_long mode = on ? 1 : 0;
  return Call(::ioctlsocket, fd, static_cast<long>(FIONBIO), &mode);
}

Result IsNonBlocking(Fd) { return Result::Error(WSAEINVAL); }

Result SetInheritable(Fd fd, bool on) {
  const BOOL done =
      SetHandleInformation(reinterpret_cast<HANDLE>(fd), HANDLE_FLAG_INHERIT, on ? HANDLE_FLAG_INHERIT : 0);
  return done ? Result::Ok(0) : Result::Error(static_cast<int>(GetLastError()));
}

Result IsInheritable(Fd fd) {
  DWORD flags = 0;
  if (!GetHandleInformation(reinterpret_cast<HANDLE>(fd), &flags))
    return Result::Error(static_cast<int>(GetLastError()));
  return Result::Ok((flags & HANDLE_FLAG_INHERIT) != 0);
}

Result OpenSocket(int family, int type, int protocol) {
  return Call(::WSASocketW, family, type, protocol, static_cast<WSAPROTOCOL_INFOW*>(nullptr), GROUP{0},
              DWORD{WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT});
}

Result OpenSocketPair(int, int, int, Fd[2]) { return Result::Error(WSAEOPNOTSUPP); }

Result AcceptConnection(Fd listener, bool non_blocking, sockaddr* address, SocketLength* length) {
  // Winsock refuses room that is too small (WSAEFAULT) where others cut the address.
  sockaddr_storage peer{};
  int size = sizeof peer;
  const Result accepted = Uninherited(Call(::accept, listener, reinterpret_cast<sockaddr*>(&peer), &size));
  if (!accepted.ok()) return accepted;
  std::memcpy(address, &peer, static_cast<size_t>(std::min(*length, size)));
  *length = size;
  // Winsock's connections inherit FIONBIO from their listener.
  const Result set = SetNonBlocking(static_cast<Fd>(accepted.value()), non_blocking);
  if (set.ok()) return accepted;
  CloseFd(static_cast<Fd>(accepted.value())).Ignore("the connection is given up");
  return set;
}

Result SendPieces(Fd fd, const Piece* pieces, size_t count) {
  WSABUF buffers[kMostPieces];
  const size_t used = std::min(count, kMostPieces);
  for (size_t i = 0; i < used; ++i) {
    buffers[i].buf = reinterpret_cast<char*>(const_cast<uint8_t*>(pieces[i].data));
    buffers[i].len = static_cast<ULONG>(std::min<size_t>(pieces[i].size, ULONG_MAX));
  }
  DWORD sent = 0;
  const Result result = Call(::WSASend, fd, static_cast<WSABUF*>(buffers), static_cast<DWORD>(used), &sent, DWORD{0},
                             static_cast<WSAOVERLAPPED*>(nullptr), LPWSAOVERLAPPED_COMPLETION_ROUTINE{nullptr});
  return result.ok() ? Result::Ok(sent) : result;
}

Result PollFds(PollFd* fds, size_t count, int timeout) {
  if (count == 0) {
    Sleep(timeout < 0 ? INFINITE : static_cast<DWORD>(timeout));
    return Result::Ok(0);
  }
  const Result result = Call(::WSAPoll, fds, static_cast<ULONG>(count), timeout);
  if (result.ok() || result.error() != WSAENOTSOCK) return result;
  int64_t ready = 0;
  for (size_t i = 0; i < count; ++i) ready += fds[i].revents != 0;
  return ready > 0 ? Result::Ok(ready) : result;
}

Result SelectFds(Fd, fd_set* read, fd_set* write, fd_set* except, double timeout) {
  if (read->fd_count == 0 && write->fd_count == 0 && except->fd_count == 0) {
    Sleep(timeout < 0 ? INFINITE : static_cast<DWORD>(CeilMilliseconds(timeout)));
    return Result::Ok(0);
  }
  timeval time{};
  if (timeout >= 0) {
    const SecondsAndNanoseconds split = SplitTimeout(timeout, 1e3);
    time.tv_sec = split.seconds;
    time.tv_usec = split.nanoseconds / 1000;
  }
  return Call(::select, 0, read, write, except, timeout < 0 ? static_cast<timeval*>(nullptr) : &time);
}

namespace {

// The console's events that Node gives the names of signals. SIGHUP has no number in Windows' own headers.
constexpr int kHangUp = 1;
struct ConsoleEvent {
  DWORD event;
  int signal;
  std::atomic<void (*)(int)> handler;
};
ConsoleEvent console_events[] = {
    {CTRL_C_EVENT, SIGINT, nullptr}, {CTRL_BREAK_EVENT, SIGBREAK, nullptr}, {CTRL_CLOSE_EVENT, kHangUp, nullptr}};

BOOL WINAPI OnConsoleEvent(DWORD event) {
  for (const ConsoleEvent& entry : console_events) {
    void (*const handler)(int) = entry.handler;
    if (entry.event != event || handler == nullptr) continue;
    handler(entry.signal);
    return TRUE;
  }
  return FALSE;
}

}  // namespace

Result CatchSignal(int signal, void (*handler)(int)) {
  for (ConsoleEvent& entry : console_events) {
    if (entry.signal != signal) continue;
    entry.handler = handler;
    // Moved to the front of the list: the last one that was set is asked first.
    SetConsoleCtrlHandler(OnConsoleEvent, FALSE);
    return SetConsoleCtrlHandler(OnConsoleEvent, TRUE) ? Result::Ok(0)
                                                       : Result::Error(static_cast<int>(GetLastError()));
  }
  return Result::Error(WSAEINVAL);
}

void ReleaseSignal(int signal) {
  for (ConsoleEvent& entry : console_events) {
    if (entry.signal == signal) entry.handler = nullptr;
  }
}

namespace {

Result LastFileError() { return Result::Error(static_cast<int>(GetLastError())); }

std::wstring WidePath(const std::string& path) {
  const int bytes = static_cast<int>(std::min<size_t>(path.size(), INT_MAX));
  std::wstring wide(static_cast<size_t>(MultiByteToWideChar(CP_UTF8, 0, path.data(), bytes, nullptr, 0)), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.data(), bytes, wide.data(), static_cast<int>(wide.size()));
  return wide;
}

HANDLE HandleOf(FileHandle file) { return reinterpret_cast<HANDLE>(file); }

// The byte that is locked. Windows' locks are mandatory, and no file that is mapped here reaches as far.
OVERLAPPED LockedByte() {
  OVERLAPPED place{};
  place.OffsetHigh = 0x4000'0000;
  return place;
}

}  // namespace

Result OpenFile(const std::string& path) {
  const std::wstring wide = WidePath(path);
  const HANDLE file =
      CreateFileW(wide.c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                  nullptr, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) {
    const Result failed = LastFileError();
    const DWORD attributes = GetFileAttributesW(wide.c_str());
    // As libuv says of a directory: ERROR_INVALID_FUNCTION is EISDIR.
    const bool is_directory = attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    return is_directory ? Result::Error(ERROR_INVALID_FUNCTION) : failed;
  }
  return Result::Ok(reinterpret_cast<FileHandle>(file));
}

Result CloseFile(FileHandle file) { return CloseHandle(HandleOf(file)) ? Result::Ok(0) : LastFileError(); }

namespace {

// The file is as long as its section from here on, and never becomes shorter.
Result CreateSection(FileHandle file, size_t size, HANDLE* section) {
  if (GetFileType(HandleOf(file)) != FILE_TYPE_DISK) return Result::Error(WSAEINVAL);
  const auto wide = static_cast<uint64_t>(size);
  *section = CreateFileMappingW(HandleOf(file), nullptr, PAGE_READWRITE, static_cast<DWORD>(wide >> 32),
                                static_cast<DWORD>(wide & UINT32_MAX), nullptr);
  return *section == nullptr ? LastFileError() : Result::Ok(0);
}

}  // namespace

Result GrowFile(FileHandle file, size_t size) {
  HANDLE section = nullptr;
  const Result made = CreateSection(file, size, &section);
  if (made.ok()) CloseHandle(section);
  return made;
}

Result IdentifyFile(FileHandle file, FileIdentity* identity) {
  BY_HANDLE_FILE_INFORMATION about{};
  if (!GetFileInformationByHandle(HandleOf(file), &about)) return LastFileError();
  identity->device = about.dwVolumeSerialNumber;
  identity->number = static_cast<uint64_t>(about.nFileIndexHigh) << 32 | about.nFileIndexLow;
  return Result::Ok(0);
}

Result MapFile(FileHandle file, size_t size, void** memory) {
  HANDLE section = nullptr;
  const Result made = CreateSection(file, size, &section);
  if (!made.ok()) return made;
  *memory = MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, size);
  const Result mapped = *memory == nullptr ? LastFileError() : Result::Ok(0);
  CloseHandle(section);  // the view keeps what it needs of it
  return mapped;
}

void UnmapFile(void* memory, size_t) { UnmapViewOfFile(memory); }

Result TakeFileLock(FileHandle file, bool wait) {
  OVERLAPPED place = LockedByte();
  const DWORD flags = LOCKFILE_EXCLUSIVE_LOCK | (wait ? 0 : LOCKFILE_FAIL_IMMEDIATELY);
  if (LockFileEx(HandleOf(file), flags, 0, 1, 0, &place)) return Result::Ok(1);
  const DWORD error = GetLastError();
  return error == ERROR_LOCK_VIOLATION || error == ERROR_IO_PENDING ? Result::Ok(0)
                                                                    : Result::Error(static_cast<int>(error));
}

Result DropFileLock(FileHandle file) {
  OVERLAPPED place = LockedByte();
  return UnlockFileEx(HandleOf(file), 0, 1, 0, &place) ? Result::Ok(0) : LastFileError();
}

void* FunctionOfProgram(const char* name) {
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
  // Connected to itself, it takes datagrams from nobody else.
  Result result = Call(::bind, fd, static_cast<const sockaddr*>(name), length);
  if (result.ok()) result = Call(::getsockname, fd, name, &length);
  if (result.ok()) result = Call(::connect, fd, static_cast<const sockaddr*>(name), length);
  if (result.ok()) result = SetNonBlocking(fd, true);
  if (!result.ok()) {
    CloseFd(fd).Ignore("the channel is given up");
    return result;
  }
  *read = *write = fd;
  return result;
}

Result SignalWakeChannel(Fd write) {
  const Result result = Call(::send, write, "!", 1, 0);
  // The receive buffer is full of wake-ups: the channel is readable already.
  return !result.ok() && result.error() == WSAEWOULDBLOCK ? Result::Ok(0) : result;
}

void DrainWakeChannel(Fd read) {
  char byte;
  while (Call(::recv, read, &byte, 1, 0).ok()) {
  }
}

}  // namespace selectors
