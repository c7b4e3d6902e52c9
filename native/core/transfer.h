// recv(2) and send(2) of byte spans, with the pointer and length types of this system.
#pragma once

#include <algorithm>
#include <limits>
#include <span>

#include "core/syscall.h"

namespace selectors {

inline RawBytes* AsRawBytes(void* data) { return static_cast<RawBytes*>(data); }
inline const RawBytes* AsRawBytes(const void* data) { return static_cast<const RawBytes*>(data); }
inline RawSize ClampSize(size_t size) {
  return static_cast<RawSize>(std::min<size_t>(size, std::numeric_limits<RawSize>::max()));
}

// A received length, clamped to the buffer's size: with MSG_TRUNC the kernel returns the length of the whole message
// (recv(2)).
inline Result ClampLength(size_t size, Result length) {
  if (!length.ok() || static_cast<uint64_t>(length.value()) <= size) [[likely]]
    return length;
  return Result::Ok(static_cast<int64_t>(size));
}

// With MSG_TRUNC, TCP counts the bytes that it discards and does not write them (tcp(7)): the buffer then holds zeros
// and not its old contents. No other flag leaves bytes unwritten that the kernel counts.
inline void ClearIfDiscarded(std::span<uint8_t> bytes, int flags) {
  if ((flags & kDiscardFlag) != 0) [[unlikely]]
    std::fill(bytes.begin(), bytes.end(), uint8_t{0});
}

// The number of bytes received; 0: the peer has finished sending.
inline Result ReceiveBytes(Fd fd, std::span<uint8_t> bytes, int flags) {
  ClearIfDiscarded(bytes, flags);
  return ClampLength(bytes.size(), CallRetry<::recv>(fd, AsRawBytes(bytes.data()), ClampSize(bytes.size()), flags));
}

// Replaces errors that only BSD systems have by their portable equivalents (PortableSendError in platform.h).
inline Result MapSendError(Result sent) { return sent.ok() ? sent : Result::Error(PortableSendError(sent.error())); }
inline Result MapSendToError(Result sent) {
  return sent.ok() ? sent : Result::Error(PortableSendToError(sent.error()));
}

// The number of bytes that the kernel took. Never raises SIGPIPE.
inline Result SendBytes(Fd fd, std::span<const uint8_t> bytes, int flags) {
  return MapSendError(CallRetry<::send>(fd, AsRawBytes(bytes.data()), ClampSize(bytes.size()), flags | kNoSignal));
}

}  // namespace selectors
