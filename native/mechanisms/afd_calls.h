// The calls of AFD, the kernel driver below Winsock, as a trace shows them (core/trace.h); and the structures that
// IOCTL_AFD_POLL reads and writes, which no header of the SDK declares.
//
// Windows documents DeviceIoControl, CancelIoEx and completion ports, but not this control code. libuv, mio and wepoll
// rely on it, and so does Winsock itself: select and WSAPoll are IOCTL_AFD_POLL with all their sockets in one request.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/syscall.h"

namespace selectors {

// What IOCTL_AFD_POLL can wait for.
enum AfdEvents : ULONG {
  kAfdReceive = 0x1,           // bytes, or a datagram
  kAfdReceiveExpedited = 0x2,  // out-of-band data, unless SO_OOBINLINE is set
  kAfdSend = 0x4,              // room in the send buffer
  kAfdDisconnect = 0x8,        // the peer has shut down its sending side
  kAfdAbort = 0x10,            // the connection was reset
  kAfdLocalClose = 0x20,       // the socket was closed here
  kAfdConnect = 0x40,          // it is connected: reported together with each other event as long as it is
  kAfdAccept = 0x80,           // a connection to accept
  kAfdConnectFail = 0x100,     // connect has failed
};

constexpr DWORD kIoctlAfdPoll = 0x12024;

struct AfdPollHandle {
  HANDLE handle;
  ULONG events;
  LONG status;  // NTSTATUS
};

// Input and output of IOCTL_AFD_POLL, here for one socket.
struct AfdPollInfo {
  LARGE_INTEGER timeout;    // of the request, in units of 100 ns; INT64_MAX: none
  ULONG number_of_handles;  // after completion: how many have events
  ULONG exclusive;          // not 0: ends the other exclusive polls of these sockets
  AfdPollHandle handles[1];
};

struct AfdDevice;
struct AfdSocket;

// A poll of one socket. From its start until its packet is dequeued, the kernel may write to it (afd_port.h).
struct AfdPoll {
  OVERLAPPED overlapped{};  // first: a packet has its address
  AfdPollInfo info{};
  AfdDevice* device = nullptr;
  ULONG info_events = 0;        // what it waits for: `info` has the result in the end
  size_t index = 0;             // in AfdPort's list
  int64_t id = 0;               // of the class Afd
  AfdSocket* socket = nullptr;  // of AfdSet; null: its packet is stale
  uint64_t wait = 0;            // of AfdSet: the number of the wait that has started it
};
static_assert(std::is_standard_layout_v<AfdPoll> && sizeof(AfdPollInfo) == 32);

// A packet with this OVERLAPPED only ends a wait. No poll has the same address: this object is never freed.
extern OVERLAPPED afd_wake_packet;

namespace print {

void ControlCode(std::string& out, const CallInfo& call, size_t index);
void AfdPollRequest(std::string& out, const CallInfo& call, size_t index);
void AfdCompletions(std::string& out, const CallInfo& call, size_t index);
void OpenedDevice(std::string& out, const CallInfo& call, size_t index);
void AfdPending(std::string& out, const CallInfo& call, size_t index);
void AfdTimeout(std::string& out, const CallInfo& call, size_t index);
void DeviceName(std::string& out, const CallInfo& call, size_t index);

}  // namespace print

// NtCreateFile, which opens a device by its name. -1 on failure, with the Win32 error as the last error.
int OpenDevice(HANDLE* device, const wchar_t* name);
// DeviceIoControl with IOCTL_AFD_POLL: 1 if the poll has completed at once, 0 if it is pending, -1 on failure.
int StartAfdPoll(HANDLE device, DWORD code, AfdPollInfo* info, DWORD size, AfdPollInfo* result, DWORD result_size,
                 DWORD* transferred, OVERLAPPED* overlapped);
// GetQueuedCompletionStatusEx on a port that has only packets of AfdPolls, and afd_wake_packet's: the number of
// packets, 0 after the timeout, -1 on failure. The trace shows the sockets and their events.
int DequeueAfdPolls(HANDLE port, OVERLAPPED_ENTRY* packets, ULONG max_entries, ULONG* count, DWORD milliseconds,
                    BOOL alertable);

template <>
inline constexpr SystemCall kSystemCall<OpenDevice>{"NtCreateFile", {Out(print::OpenedDevice), In(print::DeviceName)}};
template <>
inline constexpr SystemCall kSystemCall<::SetFileCompletionNotificationModes>{
    "SetFileCompletionNotificationModes", {In(print::Descriptor), In(print::Hexadecimal)}, nullptr, Failure::kZero};
template <>
inline constexpr SystemCall kSystemCall<StartAfdPoll>{
    "DeviceIoControl",
    {In(print::Descriptor), In(print::ControlCode), In(print::AfdPollRequest), In(print::Unsigned), In(print::Pointer),
     In(print::Unsigned), In(print::Pointer), In(print::Pointer)},
    print::AfdPending};
template <>
inline constexpr SystemCall kSystemCall<DequeueAfdPolls>{
    "GetQueuedCompletionStatusEx",
    {In(print::Descriptor), Out(print::AfdCompletions), In(print::Unsigned), In(print::Pointer),
     In(print::Milliseconds), In(print::Decimal)},
    print::AfdTimeout,
    Failure::kMinusOne,
    4};

}  // namespace selectors
