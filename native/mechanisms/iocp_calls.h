// The rows of the system calls of a completion port (core/trace.h). An overlapped operation is shown as it is started:
// -1 and ERROR_IO_PENDING where the kernel carries it out; how it ended is told by GetQueuedCompletionStatusEx.
#pragma once

#include "core/syscall.h"

// After winsock2.h.
#include <mswsock.h>

namespace selectors {

namespace print {

void CompletionEntries(std::string& out, const CallInfo& call, size_t index);

}  // namespace print

// These are found at run time: each socket says where its provider has AcceptEx and ConnectEx, and NtQueryObject is in
// no library to link with. Here with the function behind its arguments.
BOOL AcceptExBy(SOCKET listener, SOCKET accepting, void* output, DWORD received, DWORD local, DWORD remote,
                DWORD* bytes, OVERLAPPED* overlapped, LPFN_ACCEPTEX function);
BOOL ConnectExBy(SOCKET socket, const sockaddr* address, int length, void* send, DWORD size, DWORD* sent,
                 OVERLAPPED* overlapped, LPFN_CONNECTEX function);
using QueryObject = LONG(WINAPI*)(HANDLE handle, int what, void* out, ULONG size, ULONG* needed);
// Its status: negative where it failed.
LONG QueryObjectBy(HANDLE handle, int what, void* out, ULONG size, ULONG* needed, QueryObject function);

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
inline constexpr SystemCall kSystemCall<::GetQueuedCompletionStatusEx>{
    "GetQueuedCompletionStatusEx",
    {In(print::Descriptor), Out(print::CompletionEntries), In(print::Unsigned), In(print::Pointer),
     In(print::Milliseconds), In(print::Decimal)},
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
template <>
inline constexpr SystemCall kSystemCall<::WSAGetOverlappedResult>{
    "WSAGetOverlappedResult",
    {In(print::Descriptor), In(print::Pointer), In(print::Pointer), In(print::Decimal), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<AcceptExBy>{
    "AcceptEx",
    {In(print::Descriptor), In(print::Descriptor), In(print::Pointer), In(print::Unsigned), In(print::Unsigned),
     In(print::Unsigned), In(print::Pointer), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<ConnectExBy>{
    "ConnectEx",
    {In(print::Descriptor), In(print::SocketAddress), In(print::Decimal), In(print::Pointer), In(print::Unsigned),
     In(print::Pointer), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<QueryObjectBy>{
    "NtQueryObject",
    {In(print::Descriptor), In(print::Decimal), In(print::Pointer), In(print::Unsigned), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSARecv>{
    "WSARecv",
    {In(print::Descriptor), In(print::BufferSizes), In(print::Unsigned), In(print::Pointer), In(print::Pointer),
     In(print::Pointer), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSARecvFrom>{
    "WSARecvFrom",
    {In(print::Descriptor), In(print::BufferSizes), In(print::Unsigned), In(print::Pointer), In(print::Pointer),
     In(print::Pointer), In(print::Pointer), In(print::Pointer), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSASendTo>{
    "WSASendTo",
    {In(print::Descriptor), In(print::SentBuffers), In(print::Unsigned), In(print::Pointer), In(print::Hexadecimal),
     In(print::SocketAddress), In(print::Decimal), In(print::Pointer), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::WSAIoctl>{
    "WSAIoctl",
    {In(print::Descriptor), In(print::Hexadecimal), In(print::Pointer), In(print::Unsigned), In(print::Pointer),
     In(print::Unsigned), In(print::Pointer), In(print::Pointer), In(print::Pointer)}};
template <>
inline constexpr SystemCall kSystemCall<::ReadFile>{
    "ReadFile",
    {In(print::Descriptor), In(print::Pointer), In(print::Unsigned), In(print::Pointer), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<::WriteFile>{
    "WriteFile",
    {In(print::Descriptor), In(print::Sent), In(print::Unsigned), In(print::Pointer), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
struct ShortenedCall<::WSARecv> : ShortenedBuffers {};
template <>
struct ShortenedCall<::WSARecvFrom> : ShortenedBuffers {};
template <>
struct ShortenedCall<::WSASendTo> : ShortenedBuffers {};
template <>
inline constexpr int kLengthArgument<::ReadFile> = 2;
template <>
inline constexpr int kLengthArgument<::WriteFile> = 2;

template <>
inline constexpr SystemCall kSystemCall<::ReOpenFile>{
    "ReOpenFile", {In(print::Descriptor), In(print::Hexadecimal), In(print::Hexadecimal), In(print::Hexadecimal)}};

}  // namespace selectors
