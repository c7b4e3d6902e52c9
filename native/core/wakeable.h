// What any thread may wake, by a number: a wake channel among the descriptors of a wait, a completion port. One table
// for the whole process gives the numbers out, and never one of them twice: a number that comes too late wakes nobody
// else.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

class Wakeable {
 public:
  Wakeable() = default;
  Wakeable(const Wakeable&) = delete;
  Wakeable& operator=(const Wakeable&) = delete;
  virtual ~Wakeable() = default;

  // From any thread: ends the wait under way, or the next one. Many before one wait count as one.
  virtual Result Signal() = 0;

  // The same within a signal's handler: whatever that has interrupted.
  virtual Result SignalFromHandler() { return Signal(); }

  // A wait beside Node's loop, in a thread of its own, for what no descriptor tells: until the owner would find
  // something to take (nothing is taken by this, and nothing lost), until `ended` is true, or until the time is over.
  // Several threads may wait at a time.
  virtual Result WaitInThread([[maybe_unused]] double timeout, [[maybe_unused]] const std::atomic<bool>& ended) {
    return Result::Error(kInvalidArgument);
  }
  // The `ended` of such a wait has become true: it looks.
  virtual void EndWaitInThread() {}
};

// Any thread may be sent the number that this gives.
uint32_t RegisterWakeable(std::shared_ptr<Wakeable> wakeable);
void UnregisterWakeable(uint32_t handle);
// Null where its owner has closed it, or there never was one. Whoever holds it keeps it alive. known: the number was
// given out once.
std::shared_ptr<Wakeable> FindWakeable(uint32_t handle, bool* known);

}  // namespace selectors
