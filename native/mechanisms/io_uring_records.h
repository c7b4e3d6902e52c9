// The records that IoUring::Turn writes for JavaScript, and the kinds of them. JavaScript has the numbers as
// exports.streamNumbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace selectors::uring {

struct Record {
  int32_t fd;
  int32_t generation;
  int32_t what;
  int32_t result;  // bytes, a descriptor, 0, or a negative error
  int32_t place;   // offset in the pool, or -1 - the buffer
};

// What a record is about.
enum : int32_t {
  kReceived = 1,
  kAccepted = 2,
  kSent = 4,
  kConnected = 8,
  kWoken = 16,
  kCallers = 32,   // completions() has something
  kLast = 64,      // the multishot is over
  kMore = 128,     // the next turn has something without a wait: receives beyond their stream's share
  kRefused = 256,  // io_uring_enter was refused for now (EAGAIN, EBUSY, EINTR, ENOMEM): it must be tried again
  kSurplus = 512,  // more was received for this stream than its share: it comes in the next turns
};

inline constexpr size_t kRecordNumbers = sizeof(Record) / sizeof(int32_t);

}  // namespace selectors::uring
