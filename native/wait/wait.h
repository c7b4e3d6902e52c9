// Waits that another thread can end, and waits that do not block Node's loop.
#pragma once

#include <napi.h>

#include "core/descriptor.h"
#include "core/wakeable.h"

namespace selectors {

// A descriptor that becomes readable on Signal() and stays so until Drain(): several signals count as one, and none is
// lost. Signal() is thread-safe while the channel exists.
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
  Result Signal() override { return SignalWakeChannel(WriteEnd()); }
  Result SignalFromHandler() override { return SignalWakeChannelFromHandler(WriteEnd()); }
  void Drain() const { DrainWakeChannel(read_.get()); }
  void Close() {
    read_ = UniqueFd();
    write_ = UniqueFd();
  }
  Fd fd() const { return read_.get(); }

 private:
  Fd WriteEnd() const { return write_.get() == kNoFd ? read_.get() : write_.get(); }

  UniqueFd read_;
  UniqueFd write_;  // none if read_ is both ends
};

// exports.Wakeup and exports.wakeup: see wakeup.cc.
void RegisterWakeup(Napi::Env env, Napi::Object exports);
// exports.Waiter: see waiter.cc.
void RegisterWaiter(Napi::Env env, Napi::Object exports);

// exports.LoopWatch: see loop_watch.cc.
void RegisterLoopWatch(Napi::Env env, Napi::Object exports);
// exports.SignalWatch: see signals.cc.
void RegisterSignals(Napi::Env env, Napi::Object exports);
// exports.ThreadInterrupt: see interrupt.cc.
void RegisterInterrupt(Napi::Env env, Napi::Object exports);

}  // namespace selectors
