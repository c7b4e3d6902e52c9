#include "mechanisms/iocp_calls.h"

namespace selectors {

BOOL AcceptExBy(SOCKET listener, SOCKET accepting, void* output, DWORD received, DWORD local, DWORD remote,
                DWORD* bytes, OVERLAPPED* overlapped, LPFN_ACCEPTEX function) {
  return function(listener, accepting, output, received, local, remote, bytes, overlapped);
}

BOOL ConnectExBy(SOCKET socket, const sockaddr* address, int length, void* send, DWORD size, DWORD* sent,
                 OVERLAPPED* overlapped, LPFN_CONNECTEX function) {
  return function(socket, address, length, send, size, sent, overlapped);
}

LONG QueryObjectBy(HANDLE handle, int what, void* out, ULONG size, ULONG* needed, QueryObject function) {
  return function(handle, what, out, size, needed);
}

// Its number is what the next argument but one points to, and not to be believed when the time is over (Wine 8).
void print::CompletionEntries(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return Pointer(out, call, index);
  const auto* const entries = call.As<const OVERLAPPED_ENTRY*>(index);
  const ULONG count = *call.As<const ULONG*>(index + 2);
  AppendArray(out, std::span(entries, count), [&out](const OVERLAPPED_ENTRY& entry) {
    out.append("{key=").append(std::to_string(entry.lpCompletionKey)).append(", overlapped=");
    AppendAddress(out, entry.lpOverlapped);
    out.append(", bytes=").append(std::to_string(entry.dwNumberOfBytesTransferred)).append("}");
  });
}

}  // namespace selectors
