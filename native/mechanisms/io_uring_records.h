// The records that IoUring::Turn writes into an Int32Array. JavaScript has the flags as exports.streamNumbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace selectors::uring {

struct Record {
  int32_t fd;
  int32_t generation;
  int32_t flags;
  int32_t result;    // number of bytes, accepted descriptor, 0, or a negative error
  int32_t location;  // of received bytes: offset in the pool, or -1 - index of the buffer
};

// Flags of a record. The first four also select the operations that cancelStream() cancels.
enum : int32_t {
  kReceived = 1,
  kAccepted = 2,
  kSent = 4,
  kConnected = 8,
  kWoken = 16,
  kCallers = 32,   // completions() has operations of the caller's to report
  kLast = 64,      // the multishot has ended: this is its last completion
  kMore = 128,     // the next turn returns without a wait: receives beyond their stream's share are deferred
  kRefused = 256,  // io_uring_enter failed for now (EAGAIN, EBUSY, EINTR, ENOMEM): the caller must try again
  kSurplus = 512,  // this stream received more than its share: the next turns deliver it
};

inline constexpr size_t kRecordNumbers = sizeof(Record) / sizeof(int32_t);

}  // namespace selectors::uring
