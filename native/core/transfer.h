// recv(2) and send(2), with bytes and sizes as this system's calls take them.
#pragma once

#include <algorithm>
#include <limits>
#include <span>

#include "core/syscall.h"

namespace selectors {

inline RawBytes* Raw(void* data) { return static_cast<RawBytes*>(data); }
inline const RawBytes* Raw(const void* data) { return static_cast<const RawBytes*>(data); }
inline RawSize Size(size_t size) {
  return static_cast<RawSize>(std::min<size_t>(size, std::numeric_limits<RawSize>::max()));
}

// How many bytes; 0 when the peer has finished sending.
inline Result ReceiveBytes(Fd fd, std::span<uint8_t> bytes, int flags) {
  return CallAgain<::recv>(fd, Raw(bytes.data()), Size(bytes.size()), flags);
}

// How many bytes the kernel took. Never raises SIGPIPE.
inline Result SendBytes(Fd fd, std::span<const uint8_t> bytes, int flags) {
  return CallAgain<::send>(fd, Raw(bytes.data()), Size(bytes.size()), flags | kNoSignal);
}

}  // namespace selectors
