// Waiting that others can end, and waiting that does not hold up Node's loop.
#pragma once

#include <napi.h>

#include "core/descriptor.h"
#include "core/wakeable.h"

namespace selectors {

// A descriptor that becomes readable when somebody signals, and stays so until it is drained: many signals count as one
// and none is lost. Signal may be called from any thread, as long as the channel lives.
class WakeChannel final : public Wakeable {
 public:
  Result Open() {
    Fd read = kNoFd;
    Fd write = kNoFd;
    const Result opened = OpenWakeChannel(&read, &write);
    if (!opened.ok()) return opened;
    read_ = UniqueFd(read);
    if (write != read) write_ = UniqueFd(write);
    return opened;
  }
  Result Signal() override { return SignalWakeChannel(End()); }
  Result SignalFromHandler() override { return SignalWakeChannelFromHandler(End()); }
  void Drain() const { DrainWakeChannel(read_.get()); }
  void Close() {
    read_ = UniqueFd();
    write_ = UniqueFd();
  }
  Fd fd() const { return read_.get(); }

 private:
  Fd End() const { return write_.get() == kNoFd ? read_.get() : write_.get(); }

  UniqueFd read_;
  UniqueFd write_;  // none where one descriptor is both ends
};

// exports.Wakeup and exports.wakeup: see wakeup.cc.
void RegisterWakeup(Napi::Env env, Napi::Object exports);
// exports.Waiter: see waiter.cc.
void RegisterWaiter(Napi::Env env, Napi::Object exports);

// exports.LoopWatch: see loop_watch.cc.
void RegisterLoopWatch(Napi::Env env, Napi::Object exports);
// exports.SignalWatch: see signals.cc.
void RegisterSignals(Napi::Env env, Napi::Object exports);

}  // namespace selectors
