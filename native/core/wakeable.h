// Wakeable: a wait that any thread can end, by its handle, a number. It is a wake channel among the descriptors of a
// wait (wait/wait.h), or a completion port. The process has one table of handles and never reuses one: a handle that
// arrives after its owner has closed wakes nothing else.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

class Wakeable {
 public:
  Wakeable() = default;
  Wakeable(const Wakeable&) = delete;
  Wakeable& operator=(const Wakeable&) = delete;
  virtual ~Wakeable() = default;

  // Ends the current wait, or the next one. Several signals before a wait count as one. Thread-safe.
  virtual Result Signal() = 0;

  // The same, from a signal handler (signal-safety(7)).
  virtual Result SignalFromHandler() { return Signal(); }

  // Does it interrupt the calls of a thread, until that ends?
  virtual bool IsOfThread() const { return false; }

  // Blocks a background thread (wait/waiter.cc) in what has no descriptor to poll: until there is something for the
  // owner to dequeue, which is left in place, until `is_ended` is true, or until `timeout` milliseconds have passed.
  // Several threads may wait at a time. Default: EINVAL, for what poll(2) can watch.
  virtual Result WaitInThread([[maybe_unused]] double timeout, [[maybe_unused]] const std::atomic<bool>& is_ended) {
    return Result::Error(kInvalidArgument);
  }
  // Makes such waits check their `is_ended`.
  virtual void EndWaitInThread() {}
};

// The handle, which is never 0. All three are thread-safe.
uint32_t RegisterWakeable(std::shared_ptr<Wakeable> wakeable);
void UnregisterWakeable(uint32_t handle);
// Signals these, or all if there are none, and returns how many of them end with their thread (Wakeable::IsOfThread).
size_t SignalWakeables(const std::vector<uint32_t>& handles);
// Null: unregistered, or never registered. was_registered: whether the handle was ever registered.
std::shared_ptr<Wakeable> FindWakeable(uint32_t handle, bool* was_registered);

}  // namespace selectors
