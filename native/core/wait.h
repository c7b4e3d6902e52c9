// How long a wait lasts. Times are milliseconds with fractions; a negative one means for ever.
//
// Rounding goes up everywhere: a wait that ends early makes its caller ask again at once, and a loop with a timer then
// spins through the last fraction of its time (bpo-20311: 918 wake-ups instead of 20). A whole number stays as it is.
#pragma once

#include <climits>
#include <cmath>

#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

inline constexpr double kForever = -1;

// For epoll_wait(2), poll(2) and WSAPoll. More than an int holds (24 days) becomes the longest there is; Wait goes on
// from there.
inline int CeilMilliseconds(double timeout) {
  if (timeout < 0) return -1;
  return timeout >= INT_MAX ? INT_MAX : static_cast<int>(std::ceil(timeout));
}

// For select(2) and kevent(2). A hundred million seconds is the most that macOS takes (select(2), EINVAL beyond).
struct SecondsAndNanoseconds {
  long seconds;
  long nanoseconds;
};
inline SecondsAndNanoseconds SplitTimeout(double timeout, double nanosecond_steps) {
  constexpr double kLongest = 1e8;
  if (timeout >= kLongest * 1e3) return {static_cast<long>(kLongest), 0};
  const double steps = std::ceil(timeout * (1e6 / nanosecond_steps));
  const double per_second = 1e9 / nanosecond_steps;
  const double seconds = std::floor(steps / per_second);
  return {static_cast<long>(seconds), static_cast<long>((steps - seconds * per_second) * nanosecond_steps)};
}

// Runs call(remaining milliseconds), a Result of how many are ready, until something is or the time is over. A call
// that a signal interrupted, or that the system ended early, is made again with what is left, counted on the monotonic
// clock.
template <typename WaitCall>
Result Wait(double timeout, WaitCall call) {
  const double deadline = timeout > 0 ? MonotonicMilliseconds() + timeout : 0;
  for (double remaining = timeout;;) {
    const Result result = call(remaining);
    if (result.ok() ? result.value() > 0 : result.error() != kInterrupted) return result;
    if (timeout == 0 && result.ok()) return result;
    if (timeout > 0) {
      remaining = deadline - MonotonicMilliseconds();
      if (remaining <= 0) return Result::Ok(0);
    }
  }
}

}  // namespace selectors
