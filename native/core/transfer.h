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

// A length that the kernel answered, at most `room`: with MSG_TRUNC it is that of the whole message (recv(2)), and only
// `room` bytes of memory are there.
inline Result ClampLength(size_t room, Result length) {
  if (!length.ok() || static_cast<uint64_t>(length.value()) <= room) [[likely]]
    return length;
  return Result::Ok(static_cast<int64_t>(room));
}

// With MSG_TRUNC, TCP counts the bytes that it discards and writes none of them (tcp(7)): zeros stand in their place,
// and not what the memory had before. No other flag leaves bytes unwritten that the kernel counts.
inline void ClearIfDiscarded(std::span<uint8_t> bytes, int flags) {
  if ((flags & kDiscardFlag) != 0) [[unlikely]]
    std::fill(bytes.begin(), bytes.end(), uint8_t{0});
}

// How many bytes were put into `bytes`; 0 when the peer has finished sending.
inline Result ReceiveBytes(Fd fd, std::span<uint8_t> bytes, int flags) {
  ClearIfDiscarded(bytes, flags);
  return ClampLength(bytes.size(), CallRetry<::recv>(fd, Raw(bytes.data()), Size(bytes.size()), flags));
}

// A send's failure by the error that other systems have for it (platform.h).
inline Result MapSendError(Result sent) { return sent.ok() ? sent : Result::Error(SendError(sent.error())); }
inline Result MapSendToError(Result sent) { return sent.ok() ? sent : Result::Error(SendToError(sent.error())); }

// How many bytes the kernel took. Never raises SIGPIPE.
inline Result SendBytes(Fd fd, std::span<const uint8_t> bytes, int flags) {
  return MapSendError(CallRetry<::send>(fd, Raw(bytes.data()), Size(bytes.size()), flags | kNoSignal));
}

}  // namespace selectors
