// The printers of system_calls.h that only Windows uses.
#include <algorithm>
#include <cwchar>

#include "platform/system_calls.h"

namespace selectors {

int SleepFor(DWORD milliseconds) {
  Sleep(milliseconds);
  return 0;
}

namespace print {
namespace {

std::span<const WSABUF> BuffersOf(const CallInfo& call, size_t index) {
  return {call.As<const WSABUF*>(index), call.As<size_t>(index + 1)};
}

}  // namespace

void SentBuffers(std::string& out, const CallInfo& call, size_t index) {
  AppendArray(out, BuffersOf(call, index), [&out](const WSABUF& buffer) {
    out.append("{len=").append(std::to_string(buffer.len)).append(", buf=");
    AppendBytes(out, buffer.buf, buffer.len);
    out += '}';
  });
}

void BufferSizes(std::string& out, const CallInfo& call, size_t index) {
  AppendArray(out, BuffersOf(call, index),
              [&out](const WSABUF& buffer) { out.append("{len=").append(std::to_string(buffer.len)).append("}"); });
}

void WidePath(std::string& out, const CallInfo& call, size_t index) {
  const auto* const path = call.As<const wchar_t*>(index);
  const int length = static_cast<int>(std::min<size_t>(std::wcslen(path), 4096));
  std::string narrow(static_cast<size_t>(WideCharToMultiByte(CP_UTF8, 0, path, length, nullptr, 0, nullptr, nullptr)),
                     '\0');
  WideCharToMultiByte(CP_UTF8, 0, path, length, narrow.data(), static_cast<int>(narrow.size()), nullptr, nullptr);
  out.append("\"").append(narrow).append("\"");
}

void Milliseconds(std::string& out, const CallInfo& call, size_t index) {
  const auto milliseconds = call.As<DWORD>(index);
  if (milliseconds == INFINITE)
    out += "INFINITE";
  else
    AppendUnsigned(out, milliseconds);
}

}  // namespace print
}  // namespace selectors
