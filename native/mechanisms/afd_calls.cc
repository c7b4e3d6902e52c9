// See afd_calls.h.
#include "mechanisms/afd_calls.h"

// After winsock2.h.
#include <winternl.h>

#include <cwchar>

namespace selectors {

OVERLAPPED afd_wake_packet{};

namespace {

using NtCreateFileFunction = LONG(WINAPI*)(HANDLE* file, ACCESS_MASK access, OBJECT_ATTRIBUTES* attributes,
                                           IO_STATUS_BLOCK* status, LARGE_INTEGER* size, ULONG file_attributes,
                                           ULONG share, ULONG disposition, ULONG options, void* extended, ULONG length);
using RtlNtStatusToDosErrorFunction = ULONG(WINAPI*)(LONG status);

// Of ntdll.dll, which is in every process: found by name, because the import library is not in every SDK.
template <typename Function>
Function NtFunction(const char* name) {
  return reinterpret_cast<Function>(reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), name)));
}

#define NAME(constant, value) \
  { constant, #value }
constexpr print::Name kEventNames[] = {
    NAME(kAfdReceive, AFD_POLL_RECEIVE),
    NAME(kAfdReceiveExpedited, AFD_POLL_RECEIVE_EXPEDITED),
    NAME(kAfdSend, AFD_POLL_SEND),
    NAME(kAfdDisconnect, AFD_POLL_DISCONNECT),
    NAME(kAfdAbort, AFD_POLL_ABORT),
    NAME(kAfdLocalClose, AFD_POLL_LOCAL_CLOSE),
    NAME(kAfdConnect, AFD_POLL_CONNECT),
    NAME(kAfdAccept, AFD_POLL_ACCEPT),
    NAME(kAfdConnectFail, AFD_POLL_CONNECT_FAIL),
};
constexpr print::Name kControlCodes[] = {NAME(int64_t{kIoctlAfdPoll}, IOCTL_AFD_POLL)};
#undef NAME

void AppendSocket(std::string& out, const AfdPollHandle& handle) {
  out.append("socket=").append(std::to_string(reinterpret_cast<intptr_t>(handle.handle))).append(", events=");
  print::AppendFlags(out, kEventNames, handle.events);
}

}  // namespace

int OpenDevice(HANDLE* device, const wchar_t* name) {
  static const auto nt_create_file = NtFunction<NtCreateFileFunction>("NtCreateFile");
  static const auto to_win32 = NtFunction<RtlNtStatusToDosErrorFunction>("RtlNtStatusToDosError");
  if (nt_create_file == nullptr || to_win32 == nullptr) {
    SetLastError(ERROR_NOT_SUPPORTED);
    return -1;
  }
  constexpr ULONG kOpen = 1;  // FILE_OPEN
  UNICODE_STRING device_name{};
  device_name.Length = static_cast<USHORT>(std::wcslen(name) * sizeof(wchar_t));
  device_name.MaximumLength = device_name.Length;
  device_name.Buffer = const_cast<wchar_t*>(name);
  OBJECT_ATTRIBUTES attributes{};
  attributes.Length = sizeof attributes;
  attributes.ObjectName = &device_name;
  IO_STATUS_BLOCK status{};
  const LONG created = nt_create_file(device, SYNCHRONIZE, &attributes, &status, nullptr, 0,
                                      FILE_SHARE_READ | FILE_SHARE_WRITE, kOpen, 0, nullptr, 0);
  if (created == 0) return 0;
  SetLastError(to_win32(created));
  return -1;
}

int StartAfdPoll(HANDLE device, DWORD code, AfdPollInfo* info, DWORD size, AfdPollInfo* result, DWORD result_size,
                 DWORD* transferred, OVERLAPPED* overlapped) {
  if (DeviceIoControl(device, code, info, size, result, result_size, transferred, overlapped) != FALSE) return 1;
  return GetLastError() == ERROR_IO_PENDING ? 0 : -1;
}

int DequeueAfdPolls(HANDLE port, OVERLAPPED_ENTRY* packets, ULONG max_entries, ULONG* count, DWORD milliseconds,
                    BOOL alertable) {
  if (GetQueuedCompletionStatusEx(port, packets, max_entries, count, milliseconds, alertable) != FALSE)
    return static_cast<int>(*count);
  return GetLastError() == WAIT_TIMEOUT ? 0 : -1;
}

namespace print {

void ControlCode(std::string& out, const CallInfo& call, size_t index) {
  AppendName(out, kControlCodes, call.As<DWORD>(index));
}

void AfdPollRequest(std::string& out, const CallInfo& call, size_t index) {
  out += '{';
  AppendSocket(out, call.As<const AfdPollInfo*>(index)->handles[0]);
  out += '}';
}

void AfdCompletions(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return Pointer(out, call, index);
  const std::span packets(call.As<const OVERLAPPED_ENTRY*>(index), static_cast<size_t>(call.result));
  AppendArray(out, packets, [&out](const OVERLAPPED_ENTRY& entry) {
    if (entry.lpOverlapped == &afd_wake_packet) {
      out += "{wake-up}";
      return;
    }
    const AfdPoll& poll = *reinterpret_cast<const AfdPoll*>(entry.lpOverlapped);
    out += '{';
    AppendSocket(out, poll.info.handles[0]);
    if (poll.overlapped.Internal != 0) AppendHexadecimal(out.append(", status="), poll.overlapped.Internal);
    out += '}';
  });
}

void AfdPending(std::string& out, const CallInfo& call, size_t) {
  if (call.ok && call.result == 0) out += "ERROR_IO_PENDING";
}

void AfdTimeout(std::string& out, const CallInfo& call, size_t) {
  if (call.ok && call.result == 0) out += "Timeout";
}

void OpenedDevice(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return Pointer(out, call, index);
  out.append("[").append(std::to_string(reinterpret_cast<intptr_t>(*call.As<const HANDLE*>(index)))).append("]");
}

void DeviceName(std::string& out, const CallInfo& call, size_t index) { WidePath(out, call, index); }

}  // namespace print
}  // namespace selectors
