// SignalWatch: a signal that ends a wait. Node's own handlers run on Node's loop, which is blocked while a thread waits
// in a call of ours; our handler signals the Wakeable of that wait: a wake channel, or a completion port.
//
//   the system --> handler (any thread, any moment) --> pending = true, Wakeable::SignalFromHandler()
//   the wait returns, and JavaScript calls take(): was it this signal?
//
// Several signals before one take() count as one, as in the system.
//
// JavaScript may not call take() for a long time: it computes, or sleeps in a call that no signal ends. With
// endOnRepeat() a repeated signal ends the process within the handler.
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "core/args.h"
#include "wait/wait.h"

namespace selectors {
namespace {

// One watched signal, in a fixed table of the process: the handler that reads it must not lock or allocate
// (signal-safety(7)).
struct Entry {
  std::atomic<int> signal;  // 0: free
  std::atomic<Wakeable*> wakeable;
  std::atomic<bool> pending;
};
constexpr size_t kMaxHandledSignals = 256;
std::array<Entry, kMaxHandledSignals> handled_signals;
// How many handlers are reading the table at the moment. Close() waits until there is none.
std::atomic<int> running_handlers;
// For the writers of the table.
std::mutex& TableMutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

// The state of endOnRepeat().
std::atomic<int> repeat_after = -1;  // milliseconds; -1: disabled
struct FirstSignal {
  std::atomic<int> signal;  // 0: none yet
  std::atomic<double> at;   // MonotonicMilliseconds(), which is safe in a handler: clock_gettime(2)
};
FirstSignal first_signal;

// Ends the process if this is a repeated signal, as endOnRepeat() defines it.
void EndIfRepeated(int signal) {
  const int after = repeat_after;
  if (after < 0) return;
  int none = 0;
  if (first_signal.signal.compare_exchange_strong(none, signal)) {
    first_signal.at = MonotonicMilliseconds();
  } else if (signal != first_signal.signal ||
             (first_signal.at > 0 && MonotonicMilliseconds() - first_signal.at > after)) {
    EndProcessBySignal(signal);
  }
}

void OnSignal(int signal) {
  EndIfRepeated(signal);
  ++running_handlers;
  for (Entry& entry : handled_signals) {
    if (entry.signal != signal) continue;
    entry.pending = true;
    if (Wakeable* const wakeable = entry.wakeable) {
      wakeable->SignalFromHandler().Ignore("it is open; a full channel is signalled already");
    }
  }
  --running_handlers;
}

// new SignalWatch(): open(signal, wakeupHandle) -> 0 or a negative error; take() -> was it raised since the last
// take()?; refresh() -> 1 if other code has replaced the handler, which is then reinstalled, else 0 or a negative
// error; close().
class SignalWatch : public Napi::ObjectWrap<SignalWatch> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "SignalWatch",
        {InstanceMethod<&SignalWatch::Open>("open"), InstanceMethod<&SignalWatch::Take>("take"),
         InstanceMethod<&SignalWatch::Refresh>("refresh"), InstanceMethod<&SignalWatch::Close>("close")});
  }

  explicit SignalWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SignalWatch>(info) {}
  ~SignalWatch() override { Unwatch(); }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info) {
    Args args(info);
    const int signal = args.IntAt(0);
    const size_t handle = args.SizeAt(1, UINT32_MAX);
    if (!args.ok()) return info.Env().Undefined();
    const Result opened = entry_ == nullptr ? Watch(signal, static_cast<uint32_t>(handle)) : Result::Ok(0);
    return {info.Env(), ToJavaScript(info.Env(), opened)};
  }

  Result Watch(int signal, uint32_t handle) {
    const std::lock_guard lock(TableMutex());
    bool was_registered = false;
    std::shared_ptr<Wakeable> wakeable = FindWakeable(handle, &was_registered);
    if (wakeable == nullptr || signal <= 0) return Result::Error(kInvalidArgument);
    for (Entry& entry : handled_signals) {
      if (entry.signal != 0) continue;
      entry.pending = false;
      entry.wakeable = wakeable.get();
      entry.signal = signal;
      const Result caught = CatchSignal(signal, OnSignal);
      if (!caught.ok()) {
        entry.signal = 0;
        entry.wakeable = nullptr;
        return caught;
      }
      entry_ = &entry;
      wakeable_ = std::move(wakeable);
      return Result::Ok(0);
    }
    return Result::Error(kNoMemory);
  }

  Napi::Value Take(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), entry_ != nullptr && entry_->pending.exchange(false));
  }

  Napi::Value Refresh(const Napi::CallbackInfo& info) {
    const std::lock_guard lock(TableMutex());
    const Result caught = entry_ == nullptr ? Result::Ok(0) : CatchSignal(entry_->signal, OnSignal);
    return {info.Env(), ToJavaScript(info.Env(), caught)};
  }

  void Close(const Napi::CallbackInfo&) { Unwatch(); }

  void Unwatch() {
    if (entry_ == nullptr) return;
    const std::lock_guard lock(TableMutex());
    const int signal = entry_->signal;
    entry_->signal = 0;
    entry_->wakeable = nullptr;
    entry_ = nullptr;
    bool is_last = true;
    for (const Entry& entry : handled_signals) is_last = is_last && entry.signal != signal;
    if (is_last) RestoreSignal(signal);
    // A handler in another thread may still use the Wakeable of this entry. One in this thread has returned already.
    while (running_handlers > 0) std::this_thread::yield();
    wakeable_.reset();
  }

  Entry* entry_ = nullptr;
  std::shared_ptr<Wakeable> wakeable_;
};

// endOnRepeat(milliseconds): from now on the first watched signal is handled; a different one, or the same one more
// than that many milliseconds later, ends the process by its default action. -1: disables it.
void EndOnRepeat(const Napi::CallbackInfo& info) {
  Args args(info);
  const int after = args.IntAt(0);
  if (!args.ok()) return;
  repeat_after = -1;
  first_signal.at = 0;
  first_signal.signal = 0;
  repeat_after = after;
}

}  // namespace

void RegisterSignals(Napi::Env env, Napi::Object exports) {
  exports.Set("SignalWatch", SignalWatch::Define(env));
  exports.Set("endOnRepeat", Napi::Function::New(env, EndOnRepeat));
}

}  // namespace selectors
