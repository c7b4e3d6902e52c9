// kSystemCall<::function> for each system call that core/syscall.h makes: its name on this system, how its arguments
// are printed, and what a fault plan does to it. The system calls of a single mechanism are described beside it.
//
// A C function is recorded under the system call that it makes, as strace and dtruss show it: on Linux recv() is
// recvfrom(2).
#pragma once

#include <algorithm>

#include "core/faults.h"
#include "core/trace.h"
#include "platform/platform.h"

#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#endif
#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

namespace selectors {

namespace print {

void AppendSocketAddress(std::string& out, const void* pointer, size_t length);
void AppendMessageFlags(std::string& out, uint64_t flags);
void AppendOptionLevel(std::string& out, int level);

void Descriptor(std::string& out, const CallInfo& call, size_t index);
void Family(std::string& out, const CallInfo& call, size_t index);
// SOCK_STREAM|SOCK_CLOEXEC.
void SocketType(std::string& out, const CallInfo& call, size_t index);
// IPPROTO_*, if the first argument is an Internet family.
void Protocol(std::string& out, const CallInfo& call, size_t index);
// A sockaddr: its length is the next argument; for SocketAddressOut, which the kernel writes, that points to the
// length.
void SocketAddress(std::string& out, const CallInfo& call, size_t index);
void SocketAddressOut(std::string& out, const CallInfo& call, size_t index);
// A length that the kernel reads and writes: [16], [128 => 16].
void SocketLengthInOut(std::string& out, const CallInfo& call, size_t index);
void MessageFlags(std::string& out, const CallInfo& call, size_t index);
void ShutdownHow(std::string& out, const CallInfo& call, size_t index);
// A socket option's level, name and value: three consecutive arguments. Each printer also reads the preceding ones.
void OptionLevel(std::string& out, const CallInfo& call, size_t index);
void OptionName(std::string& out, const CallInfo& call, size_t index);
void OptionValue(std::string& out, const CallInfo& call, size_t index);
void OptionValueOut(std::string& out, const CallInfo& call, size_t index);
// poll's array: the requested events; after the result, the returned events.
void PollRequest(std::string& out, const CallInfo& call, size_t index);
void PollResult(std::string& out, const CallInfo& call, size_t index);
// select's sets: one requested set; after the result, all sets as the call has left them.
void DescriptorSet(std::string& out, const CallInfo& call, size_t index);
void DescriptorSetsResult(std::string& out, const CallInfo& call, size_t index);
void Timeval(std::string& out, const CallInfo& call, size_t index);

#ifdef _WIN32
// WSABUFs: their number is the next argument. BufferSizes, for receives, prints no data: a pending operation has none.
void SentBuffers(std::string& out, const CallInfo& call, size_t index);
void BufferSizes(std::string& out, const CallInfo& call, size_t index);
void WidePath(std::string& out, const CallInfo& call, size_t index);
// A number, or INFINITE.
void Milliseconds(std::string& out, const CallInfo& call, size_t index);
#else
void FileCommand(std::string& out, const CallInfo& call, size_t index);
void FileCommandArgument(std::string& out, const CallInfo& call, size_t index);
void FileCommandResult(std::string& out, const CallInfo& call, size_t index);
void DescriptorPair(std::string& out, const CallInfo& call, size_t index);
// accept4's and eventfd's.
void AcceptFlags(std::string& out, const CallInfo& call, size_t index);
void EventFlags(std::string& out, const CallInfo& call, size_t index);
void SentMessage(std::string& out, const CallInfo& call, size_t index);
void ReceivedMessage(std::string& out, const CallInfo& call, size_t index);
void OpenFlags(std::string& out, const CallInfo& call, size_t index);
void LockOperation(std::string& out, const CallInfo& call, size_t index);
void Protection(std::string& out, const CallInfo& call, size_t index);
void Advice(std::string& out, const CallInfo& call, size_t index);
void MapFlags(std::string& out, const CallInfo& call, size_t index);
void SignalName(std::string& out, const CallInfo& call, size_t index);
void SleepTime(std::string& out, const CallInfo& call, size_t index);
void OpenedPath(std::string& out, const CallInfo& call, size_t index);
// The size of the kernel's signal set, an argument that the C library adds.
void KernelMaskSize(std::string& out, const CallInfo& call, size_t index);
void MaskHow(std::string& out, const CallInfo& call, size_t index);
#endif

}  // namespace print

// ----------------------------------------------------------------------------------------------------------- sockets

inline constexpr std::array<Argument, CallInfo::kMaxArguments> kAddressArguments{
    In(print::Descriptor), In(print::SocketAddress), In(print::Decimal)};
inline constexpr std::array<Argument, CallInfo::kMaxArguments> kAddressOutArguments{
    In(print::Descriptor), Out(print::SocketAddressOut), InOut(print::SocketLengthInOut)};

template <>
inline constexpr SystemCall kSystemCall<::bind>{"bind", kAddressArguments};
template <>
inline constexpr SystemCall kSystemCall<::connect>{"connect", kAddressArguments};
template <>
inline constexpr SystemCall kSystemCall<::listen>{"listen", {In(print::Descriptor), In(print::Decimal)}};
template <>
inline constexpr SystemCall kSystemCall<::shutdown>{"shutdown", {In(print::Descriptor), In(print::ShutdownHow)}};
template <>
inline constexpr SystemCall kSystemCall<::getsockname>{"getsockname", kAddressOutArguments};
template <>
inline constexpr SystemCall kSystemCall<::getpeername>{"getpeername", kAddressOutArguments};
template <>
inline constexpr SystemCall kSystemCall<::setsockopt>{
    "setsockopt",
    {In(print::Descriptor), In(print::OptionLevel), In(print::OptionName), In(print::OptionValue), In(print::Decimal)}};
template <>
inline constexpr SystemCall kSystemCall<::getsockopt>{
    "getsockopt",
    {In(print::Descriptor), In(print::OptionLevel), In(print::OptionName), Out(print::OptionValueOut),
     InOut(print::SocketLengthInOut)}};
template <>
inline constexpr SystemCall kSystemCall<::recvfrom>{
    "recvfrom",
    {In(print::Descriptor), Out(print::Received), In(print::Unsigned), In(print::MessageFlags),
     Out(print::SocketAddressOut), InOut(print::SocketLengthInOut)}};
template <>
inline constexpr SystemCall kSystemCall<::sendto>{
    "sendto",
    {In(print::Descriptor), In(print::Sent), In(print::Unsigned), In(print::MessageFlags), In(print::SocketAddress),
     In(print::Decimal)}};

template <>
inline constexpr int kLengthArgument<::recv> = 2;
template <>
inline constexpr int kLengthArgument<::send> = 2;
template <>
inline constexpr int kLengthArgument<::recvfrom> = 2;
template <>
inline constexpr int kLengthArgument<::sendto> = 2;

// After EINTR and EINPROGRESS the system continues to connect (connect(2)).
template <>
struct InjectedError<::connect> {
  static bool MakesCall(int error, Fd&, const sockaddr*&, SocketLength&) {
    return error == kInterrupted || error == kInProgress;
  }
};

#ifdef _WIN32

// Winsock has its own recv, send, select and accept.
template <>
inline constexpr SystemCall kSystemCall<::recv>{
    "recv", {In(print::Descriptor), Out(print::Received), In(print::Decimal), In(print::MessageFlags)}};
template <>
inline constexpr SystemCall kSystemCall<::send>{
    "send", {In(print::Descriptor), In(print::Sent), In(print::Decimal), In(print::MessageFlags)}};
template <>
inline constexpr SystemCall kSystemCall<::accept>{"accept", kAddressOutArguments};
template <>
inline constexpr SystemCall kSystemCall<::closesocket>{"closesocket", {In(print::Descriptor)}};
template <>
inline constexpr SystemCall kSystemCall<::ioctlsocket>{
    "ioctlsocket", {In(print::Descriptor), In(print::Hexadecimal), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSASocketW>{"WSASocketW",
                                                      {In(print::Family), In(print::SocketType), In(print::Decimal),
                                                       In(print::Pointer), In(print::Decimal), In(print::Hexadecimal)}};
template <>
inline constexpr SystemCall kSystemCall<::WSADuplicateSocketW>{
    "WSADuplicateSocketW", {In(print::Descriptor), In(print::Unsigned), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSASend>{
    "WSASend",
    {In(print::Descriptor), In(print::SentBuffers), In(print::Unsigned), In(print::Pointer), In(print::Hexadecimal),
     In(print::Pointer), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSAPoll>{"WSAPoll",
                                                   {In(print::PollRequest), In(print::Unsigned), In(print::Decimal)},
                                                   print::PollResult,
                                                   Failure::kMinusOne,
                                                   2};
template <>
inline constexpr SystemCall kSystemCall<::select>{
    "select",
    {In(print::Decimal), In(print::DescriptorSet), In(print::DescriptorSet), In(print::DescriptorSet),
     In(print::Timeval)},
    print::DescriptorSetsResult,
    Failure::kMinusOne,
    4};

template <>
struct InjectedError<::closesocket> : AlwaysMakesCall {};
template <>
struct InjectedError<::CloseHandle> : AlwaysMakesCall {};
template <>
struct InjectedError<::UnmapViewOfFile> : AlwaysMakesCall {};

// Reduces the buffers to the first one that is not empty, and that to at most max_length bytes.
struct ShortenedBuffers {
  template <typename... Others>
  void Shorten(uint64_t max_length, SOCKET&, WSABUF*& buffers, DWORD& count, Others&...) {
    const auto* const end = buffers + count;
    const auto* const found = std::find_if(buffers, buffers + count, [](const WSABUF& one) { return one.len > 0; });
    if (found == end) return;
    buffer = {static_cast<ULONG>(std::min<uint64_t>(found->len, max_length)), found->buf};
    buffers = &buffer;
    count = 1;
  }
  WSABUF buffer{};
};
template <>
struct ShortenedCall<::WSASend> : ShortenedBuffers {};

template <>
inline constexpr SystemCall kSystemCall<::WSAIoctl>{
    "WSAIoctl",
    {In(print::Descriptor), In(print::Hexadecimal), In(print::Pointer), In(print::Unsigned), In(print::Pointer),
     In(print::Unsigned), In(print::Pointer), In(print::Pointer), In(print::Pointer)}};

// --------------------------------------------------------------- completion ports: of IOCP, and of AFD

template <>
inline constexpr SystemCall kSystemCall<::CreateIoCompletionPort>{
    "CreateIoCompletionPort",
    {In(print::Descriptor), In(print::Descriptor), In(print::Unsigned), In(print::Unsigned)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::PostQueuedCompletionStatus>{
    "PostQueuedCompletionStatus",
    {In(print::Descriptor), In(print::Unsigned), In(print::Unsigned), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::CancelIoEx>{
    "CancelIoEx", {In(print::Descriptor), In(print::Pointer)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::GetOverlappedResult>{
    "GetOverlappedResult",
    {In(print::Descriptor), In(print::Pointer), In(print::Pointer), In(print::Decimal)},
    nullptr,
    Failure::kZero};

// ------------------------------------------------------------------------------------- files, memory, handles

template <>
inline constexpr SystemCall kSystemCall<::CreateFileW>{
    "CreateFileW",
    {In(print::WidePath), In(print::Hexadecimal), In(print::Hexadecimal), In(print::Pointer), In(print::Unsigned),
     In(print::Hexadecimal), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::CloseHandle>{"CloseHandle", {In(print::Descriptor)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::CreateFileMappingW>{
    "CreateFileMappingW",
    {In(print::Descriptor), In(print::Pointer), In(print::Hexadecimal), In(print::Unsigned), In(print::Unsigned),
     In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::MapViewOfFile>{
    "MapViewOfFile",
    {In(print::Descriptor), In(print::Hexadecimal), In(print::Unsigned), In(print::Unsigned), In(print::Unsigned)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::UnmapViewOfFile>{
    "UnmapViewOfFile", {In(print::Pointer)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::GetFileInformationByHandle>{
    "GetFileInformationByHandle", {In(print::Descriptor), In(print::Pointer)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::LockFileEx>{
    "LockFileEx",
    {In(print::Descriptor), In(print::Hexadecimal), In(print::Unsigned), In(print::Unsigned), In(print::Unsigned),
     In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::UnlockFileEx>{
    "UnlockFileEx",
    {In(print::Descriptor), In(print::Unsigned), In(print::Unsigned), In(print::Unsigned), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::GetFileType>{"GetFileType", {In(print::Descriptor)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::GetFileAttributesW>{"GetFileAttributesW", {In(print::WidePath)}};
template <>
inline constexpr SystemCall kSystemCall<::SetHandleInformation>{
    "SetHandleInformation",
    {In(print::Descriptor), In(print::Hexadecimal), In(print::Hexadecimal)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::GetHandleInformation>{
    "GetHandleInformation", {In(print::Descriptor), In(print::Pointer)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::SetConsoleCtrlHandler>{
    "SetConsoleCtrlHandler", {In(print::Pointer), In(print::Decimal)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::WaitForSingleObject>{"WaitForSingleObject",
                                                               {In(print::Descriptor), In(print::Milliseconds)}};
// Sleep, which returns nothing; this returns 0.
int SleepFor(DWORD milliseconds);
template <>
inline constexpr SystemCall kSystemCall<SleepFor>{"Sleep", {In(print::Milliseconds)}};

#else

template <>
inline constexpr SystemCall kSystemCall<::recv>{"recvfrom",
                                                {In(print::Descriptor), Out(print::Received), In(print::Unsigned),
                                                 In(print::MessageFlags), In(print::Null), In(print::Null)}};
template <>
inline constexpr SystemCall kSystemCall<::send>{"sendto",
                                                {In(print::Descriptor), In(print::Sent), In(print::Unsigned),
                                                 In(print::MessageFlags), In(print::Null), In(print::Zero)}};
template <>
inline constexpr SystemCall kSystemCall<::socket>{"socket",
                                                  {In(print::Family), In(print::SocketType), In(print::Protocol)}};
template <>
inline constexpr SystemCall kSystemCall<::socketpair>{
    "socketpair", {In(print::Family), In(print::SocketType), In(print::Protocol), Out(print::DescriptorPair)}};
template <>
inline constexpr SystemCall kSystemCall<::close>{"close", {In(print::Descriptor)}};
template <>
inline constexpr SystemCall kSystemCall<::fcntl>{
    "fcntl", {In(print::Descriptor), In(print::FileCommand), In(print::FileCommandArgument)}, print::FileCommandResult};
template <>
inline constexpr SystemCall kSystemCall<::sendmsg>{
    "sendmsg", {In(print::Descriptor), In(print::SentMessage), In(print::MessageFlags)}};
template <>
inline constexpr SystemCall kSystemCall<::recvmsg>{
    "recvmsg", {In(print::Descriptor), Out(print::ReceivedMessage), In(print::MessageFlags)}};
template <>
inline constexpr SystemCall kSystemCall<::read>{"read",
                                                {In(print::Descriptor), Out(print::Received), In(print::Unsigned)}};
template <>
inline constexpr SystemCall kSystemCall<::write>{"write",
                                                 {In(print::Descriptor), In(print::Sent), In(print::Unsigned)}};

template <>
struct InjectedError<::close> : AlwaysMakesCall {};
template <>
struct InjectedError<::munmap> : AlwaysMakesCall {};

// The first iovec of a message that is not empty, reduced to at most max_length bytes.
inline iovec ShortenedIovec(const msghdr& message, uint64_t max_length) {
  const iovec* const end = message.msg_iov + message.msg_iovlen;
  const iovec* const found = std::find_if(message.msg_iov, message.msg_iov + message.msg_iovlen,
                                          [](const iovec& one) { return one.iov_len > 0; });
  return found == end ? iovec{}
                      : iovec{found->iov_base, static_cast<size_t>(std::min<uint64_t>(found->iov_len, max_length))};
}
template <>
struct ShortenedCall<::sendmsg> {
  void Shorten(uint64_t max_length, Fd&, const msghdr*& whole, int&) {
    part = ShortenedIovec(*whole, max_length);
    message = *whole;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    whole = &message;
  }
  iovec part{};
  msghdr message{};
};
// The kernel writes to the caller's msghdr, so that is modified in place and restored by the destructor.
template <>
struct ShortenedCall<::recvmsg> {
  ShortenedCall() = default;
  ShortenedCall(const ShortenedCall&) = delete;
  ShortenedCall& operator=(const ShortenedCall&) = delete;
  ~ShortenedCall() {
    if (message == nullptr) return;
    message->msg_iov = vector;
    message->msg_iovlen = count;
  }
  void Shorten(uint64_t max_length, Fd&, msghdr*& whole, int&) {
    message = whole;
    vector = whole->msg_iov;
    count = whole->msg_iovlen;
    part = ShortenedIovec(*whole, max_length);
    whole->msg_iov = &part;
    whole->msg_iovlen = 1;
  }
  iovec part{};
  msghdr* message = nullptr;
  iovec* vector = nullptr;
  decltype(msghdr::msg_iovlen) count = 0;
};

// ------------------------------------------------------------------------------------- files, memory, signals, threads

template <>
inline constexpr SystemCall kSystemCall<::flock>{"flock", {In(print::Descriptor), In(print::LockOperation)}};
template <>
inline constexpr SystemCall kSystemCall<::ftruncate>{"ftruncate", {In(print::Descriptor), In(print::Decimal)}};
template <>
inline constexpr SystemCall kSystemCall<::mmap>{"mmap",
                                                {In(print::Pointer), In(print::Unsigned), In(print::Protection),
                                                 In(print::MapFlags), In(print::Descriptor), In(print::Hexadecimal)}};
template <>
inline constexpr SystemCall kSystemCall<::munmap>{"munmap", {In(print::Pointer), In(print::Unsigned)}};
template <>
inline constexpr SystemCall kSystemCall<::madvise>{"madvise",
                                                   {In(print::Pointer), In(print::Unsigned), In(print::Advice)}};

#ifdef SOCK_CLOEXEC
template <>
inline constexpr SystemCall kSystemCall<::accept4>{
    "accept4",
    {In(print::Descriptor), Out(print::SocketAddressOut), InOut(print::SocketLengthInOut), In(print::AcceptFlags)}};
#else
template <>
inline constexpr SystemCall kSystemCall<::accept>{"accept", kAddressOutArguments};
#endif

#ifdef __linux__

template <>
inline constexpr SystemCall kSystemCall<::eventfd>{"eventfd2", {In(print::Decimal), In(print::EventFlags)}};
template <>
inline constexpr SystemCall kSystemCall<::fallocate>{
    "fallocate", {In(print::Descriptor), In(print::Decimal), In(print::Decimal), In(print::Decimal)}};
template <>
inline constexpr SystemCall kSystemCall<::sigaction>{
    "rt_sigaction", {In(print::SignalName), In(print::Pointer), In(print::Pointer), In(print::KernelMaskSize)}};
template <>
inline constexpr SystemCall kSystemCall<::pthread_sigmask>{
    "rt_sigprocmask",
    {In(print::MaskHow), In(print::Pointer), In(print::Pointer), In(print::KernelMaskSize)},
    nullptr,
    Failure::kErrorNumber};

// tgkill(2), which older C libraries lack.
inline int SignalThread(pid_t process, pid_t thread, int signal) {
  return static_cast<int>(::syscall(SYS_tgkill, process, thread, signal));
}
template <>
inline constexpr SystemCall kSystemCall<SignalThread>{"tgkill",
                                                      {In(print::Decimal), In(print::Decimal), In(print::SignalName)}};

// Architectures newer than epoll_pwait(2) have only that.
#ifdef SYS_epoll_wait
inline constexpr const char* kEpollWaitName = "epoll_wait";
#else
inline constexpr const char* kEpollWaitName = "epoll_pwait";
#endif
// Which system calls these functions make depends on the C library and the architecture.
#ifdef SYS_poll
template <>
inline constexpr SystemCall kSystemCall<::poll>{"poll",
                                                {In(print::PollRequest), In(print::Unsigned), In(print::Decimal)},
                                                print::PollResult,
                                                Failure::kMinusOne,
                                                2};
#else
template <>
inline constexpr SystemCall kSystemCall<::poll>{"ppoll",
                                                {In(print::PollRequest), In(print::Unsigned), In(print::Decimal)},
                                                print::PollResult,
                                                Failure::kMinusOne,
                                                2};
#endif
#if defined(__GLIBC__) || !defined(SYS_select)
inline constexpr const char* kSelectName = "pselect6";
inline constexpr Argument kSelectMask = In(print::Null);
inline constexpr const char* kStatName = "newfstatat";
inline constexpr const char* kSleepName = "clock_nanosleep";
inline constexpr const char* kOpenName = "openat";
#else
inline constexpr const char* kSelectName = "select";
inline constexpr Argument kSelectMask{};
inline constexpr const char* kStatName = "fstat";
inline constexpr const char* kSleepName = "nanosleep";
inline constexpr const char* kOpenName = "open";
#endif

#else

template <>
inline constexpr SystemCall kSystemCall<::pipe>{"pipe", {Out(print::DescriptorPair)}};
template <>
inline constexpr SystemCall kSystemCall<::sigaction>{"sigaction",
                                                     {In(print::SignalName), In(print::Pointer), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::pthread_kill>{
    "__pthread_kill", {In(print::Pointer), In(print::SignalName)}, nullptr, Failure::kErrorNumber};
template <>
inline constexpr SystemCall kSystemCall<::pthread_sigmask>{
    "sigprocmask", {In(print::MaskHow), In(print::Pointer), In(print::Pointer)}, nullptr, Failure::kErrorNumber};
template <>
inline constexpr SystemCall kSystemCall<::poll>{"poll",
                                                {In(print::PollRequest), In(print::Unsigned), In(print::Decimal)},
                                                print::PollResult,
                                                Failure::kMinusOne,
                                                2};
inline constexpr const char* kSelectName = "select";
inline constexpr Argument kSelectMask{};
inline constexpr const char* kStatName = "fstat";
inline constexpr const char* kSleepName = "nanosleep";
inline constexpr const char* kOpenName = "open";

#endif

template <>
inline constexpr SystemCall kSystemCall<::select>{
    kSelectName,
    {In(print::Decimal), In(print::DescriptorSet), In(print::DescriptorSet), In(print::DescriptorSet),
     In(print::Timeval), kSelectMask},
    print::DescriptorSetsResult,
    Failure::kMinusOne,
    4};
template <>
inline constexpr SystemCall kSystemCall<::fstat>{kStatName, {In(print::Descriptor), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::nanosleep>{kSleepName, {In(print::SleepTime), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::open>{kOpenName,
                                                {In(print::OpenedPath), In(print::OpenFlags), In(print::Octal)}};

#endif

}  // namespace selectors
