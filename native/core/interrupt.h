// A request to end the system call that blocks a thread: the call fails with EINTR and is not retried (core/syscall.h,
// core/wait.h).
//
//   another thread: requested = true, SIGURG to the thread --> EINTR --> TakeInterrupt(): true --> JavaScript
//   any other signal:                                          EINTR --> TakeInterrupt(): false --> the call is retried
//
// A signal that arrives before the call blocks is lost, so the request is repeated until the thread has ended.
#pragma once

#include <atomic>
#include <mutex>

#include "core/wakeable.h"
#include "platform/platform.h"

namespace selectors {

// Constructed and closed by the thread that it interrupts, whose blocking calls can be interrupted in between.
class ThreadInterrupt final : public Wakeable {
 public:
  ThreadInterrupt();
  ~ThreadInterrupt() override { Close(); }

  // Any thread. Ok after Close() too.
  Result Signal() override;
  bool IsOfThread() const override { return true; }
  void Close();
  bool Take() { return requested_.exchange(false); }

 private:
  std::atomic<bool> requested_ = false;
  std::mutex mutex_;
  bool closed_ = false;
  const InterruptTarget thread_ = CurrentThread();
};

extern constinit thread_local ThreadInterrupt* current_interrupt;

// Was the call of this thread that has just failed with EINTR interrupted on request?
inline bool TakeInterrupt() {
  if constexpr (kHasThreadInterrupt) {
    return current_interrupt != nullptr && current_interrupt->Take();
  } else {
    return false;
  }
}

}  // namespace selectors
