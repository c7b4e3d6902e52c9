// Timeouts of waits: conversion to the units of each system call, and retrying until the deadline. Times are
// milliseconds with fractions; negative means no timeout.
//
// Timeouts are rounded up: after a wait that ends early its caller waits again at once, and a loop with a timer spins
// through the last fraction of a millisecond (bpo-20311: 918 wake-ups instead of 20).
#pragma once

#include <climits>
#include <cmath>

#include "core/interrupt.h"
#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

inline constexpr double kForever = -1;

// For epoll_wait(2), poll(2) and WSAPoll. More than an int holds (24 days) is clamped to INT_MAX; Wait then waits
// again.
inline int CeilMilliseconds(double timeout) {
  if (timeout < 0) return -1;
  return timeout >= INT_MAX ? INT_MAX : static_cast<int>(std::ceil(timeout));
}

// For select(2) and kevent(2), clamped to 1e8 seconds: macOS fails with EINVAL beyond (select(2)).
struct SecondsAndNanoseconds {
  long seconds;
  long nanoseconds;
};
// resolution: of the result, in nanoseconds.
inline SecondsAndNanoseconds SplitTimeout(double timeout, double resolution) {
  constexpr double kMaxSeconds = 1e8;
  if (timeout >= kMaxSeconds * 1e3) return {static_cast<long>(kMaxSeconds), 0};
  const double steps = std::ceil(timeout * (1e6 / resolution));
  const double per_second = 1e9 / resolution;
  const double seconds = std::floor(steps / per_second);
  return {static_cast<long>(seconds), static_cast<long>((steps - seconds * per_second) * resolution)};
}

// Calls call(remaining milliseconds), which returns how many descriptors are ready, until there is one or the deadline
// has passed. A call that a signal interrupted, or that returned early, is repeated with the remaining time of the
// monotonic clock. EINTR: another thread has interrupted the wait (core/interrupt.h).
template <typename WaitCall>
Result Wait(double timeout, WaitCall call) {
  const double deadline = timeout > 0 ? MonotonicMilliseconds() + timeout : 0;
  for (double remaining = timeout;;) {
    const Result result = call(remaining);
    if (result.ok() ? result.value() > 0 : result.error() != kInterrupted || TakeInterrupt()) return result;
    if (timeout == 0 && result.ok()) return result;
    if (timeout > 0) {
      remaining = deadline - MonotonicMilliseconds();
      if (remaining <= 0) return Result::Ok(0);
    }
  }
}

}  // namespace selectors
