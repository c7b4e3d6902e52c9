// See iocp_calls.h.
#include "mechanisms/iocp_calls.h"

namespace selectors {

BOOL InvokeAcceptEx(SOCKET listener, SOCKET accepting, void* output, DWORD received, DWORD local, DWORD remote,
                    DWORD* bytes, OVERLAPPED* overlapped, LPFN_ACCEPTEX function) {
  return function(listener, accepting, output, received, local, remote, bytes, overlapped);
}

BOOL InvokeConnectEx(SOCKET socket, const sockaddr* address, int length, void* send, DWORD size, DWORD* sent,
                     OVERLAPPED* overlapped, LPFN_CONNECTEX function) {
  return function(socket, address, length, send, size, sent, overlapped);
}

LONG InvokeNtQueryObject(HANDLE handle, int what, void* out, ULONG size, ULONG* needed,
                         NtQueryObjectFunction function) {
  return function(handle, what, out, size, needed);
}

// The argument after the next points to the number of entries. After a timeout that number is wrong (Wine 8: 1).
void print::CompletionEntries(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return Pointer(out, call, index);
  const auto* const completions = call.As<const OVERLAPPED_ENTRY*>(index);
  const ULONG count = *call.As<const ULONG*>(index + 2);
  AppendArray(out, std::span(completions, count), [&out](const OVERLAPPED_ENTRY& entry) {
    out.append("{key=").append(std::to_string(entry.lpCompletionKey)).append(", overlapped=");
    AppendAddress(out, entry.lpOverlapped);
    out.append(", bytes=").append(std::to_string(entry.dwNumberOfBytesTransferred)).append("}");
  });
}

}  // namespace selectors
