// How a trace shows the system calls of a completion port (core/trace.h). An overlapped operation is shown when it
// starts: -1 and ERROR_IO_PENDING if it is pending. Its result is in a later GetQueuedCompletionStatusEx.
#pragma once

#include "core/syscall.h"

// After winsock2.h.
#include <mswsock.h>

namespace selectors {

namespace print {

void CompletionEntries(std::string& out, const CallInfo& call, size_t index);

}  // namespace print

// Functions whose addresses are found at run time: those of AcceptEx and ConnectEx depend on the socket's provider, and
// no import library has NtQueryObject. The address is the last argument.
BOOL InvokeAcceptEx(SOCKET listener, SOCKET accepting, void* output, DWORD received, DWORD local, DWORD remote,
                    DWORD* bytes, OVERLAPPED* overlapped, LPFN_ACCEPTEX function);
BOOL InvokeConnectEx(SOCKET socket, const sockaddr* address, int length, void* send, DWORD size, DWORD* sent,
                     OVERLAPPED* overlapped, LPFN_CONNECTEX function);
using NtQueryObjectFunction = LONG(WINAPI*)(HANDLE handle, int what, void* out, ULONG size, ULONG* needed);
// Returns an NTSTATUS: negative on failure.
LONG InvokeNtQueryObject(HANDLE handle, int what, void* out, ULONG size, ULONG* needed, NtQueryObjectFunction function);

template <>
inline constexpr SystemCall kSystemCall<::GetQueuedCompletionStatusEx>{
    "GetQueuedCompletionStatusEx",
    {In(print::Descriptor), Out(print::CompletionEntries), In(print::Unsigned), In(print::Pointer),
     In(print::Milliseconds), In(print::Decimal)},
    nullptr,
    Failure::kZero,
    4};
template <>
inline constexpr SystemCall kSystemCall<::WSAGetOverlappedResult>{
    "WSAGetOverlappedResult",
    {In(print::Descriptor), In(print::Pointer), In(print::Pointer), In(print::Decimal), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<InvokeAcceptEx>{
    "AcceptEx",
    {In(print::Descriptor), In(print::Descriptor), In(print::Pointer), In(print::Unsigned), In(print::Unsigned),
     In(print::Unsigned), In(print::Pointer), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<InvokeConnectEx>{
    "ConnectEx",
    {In(print::Descriptor), In(print::SocketAddress), In(print::Decimal), In(print::Pointer), In(print::Unsigned),
     In(print::Pointer), In(print::Pointer)},
    nullptr,
    Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<InvokeNtQueryObject>{
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
