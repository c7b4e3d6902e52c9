// Signals that end a wait. Node's own handlers run on Node's loop, which stands still while a thread blocks in a wait
// of ours; these signal what that wait is woken by: a wake channel, a completion port.
//
//   the system --> handler (any thread, any moment) --> pending = true, it is signalled
//   the waiting thread returns, JavaScript asks take(): was it this signal?
//
// Signals that come before one is taken count as one, as the system counts them.
//
// JavaScript may not come to take() for long: it runs, or sleeps in a call that no signal ends. What it asks for with
// endOnRepeat() is done by the handler itself: a signal that comes again ends the process.
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "core/args.h"
#include "wait/wait.h"

namespace selectors {
namespace {

// What the handler reads. It may not lock or allocate (signal-safety(7)): a fixed table of the process.
struct Entry {
  std::atomic<int> signal;  // 0: free
  std::atomic<Wakeable*> wakes;
  std::atomic<bool> pending;
};
constexpr size_t kMaxEntries = 256;
std::array<Entry, kMaxEntries> entries;
// Handlers that are reading the table just now: nothing of it is closed under them.
std::atomic<int> reading;
// Of those who write it.
std::mutex& TableMutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

// Of endOnRepeat().
std::atomic<int> repeat_after = -1;  // milliseconds; -1: a signal that comes again is as the first
struct First {
  std::atomic<int> signal;  // 0: none has come yet
  std::atomic<double> at;   // MonotonicMilliseconds(), which is safe in a handler: clock_gettime(2)
};
First first;

// Has one of the signals that are watched come before? Ends the process then.
void EndIfRepeated(int signal) {
  const int after = repeat_after;
  if (after < 0) return;
  int none = 0;
  if (first.signal.compare_exchange_strong(none, signal)) {
    first.at = MonotonicMilliseconds();
  } else if (signal != first.signal || (first.at > 0 && MonotonicMilliseconds() - first.at > after)) {
    EndProcessBySignal(signal);
  }
}

void OnSignal(int signal) {
  EndIfRepeated(signal);
  ++reading;
  for (Entry& entry : entries) {
    if (entry.signal != signal) continue;
    entry.pending = true;
    if (Wakeable* const wakes = entry.wakes) {
      wakes->SignalFromHandler().Ignore("it is open, and full of signals at the most, which counts as signalled");
    }
  }
  --reading;
}

// new SignalWatch(): open(signal, wakeupHandle) -> 0 or a negative error; take() -> has it come since?; refresh() takes
// the signal again where another handler was put in place, and says 1 then; close().
class SignalWatch : public Napi::ObjectWrap<SignalWatch> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "SignalWatch",
        {InstanceMethod<&SignalWatch::Open>("open"), InstanceMethod<&SignalWatch::Take>("take"),
         InstanceMethod<&SignalWatch::Refresh>("refresh"), InstanceMethod<&SignalWatch::Close>("close")});
  }

  explicit SignalWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SignalWatch>(info) {}
  ~SignalWatch() override { Forget(); }

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
    bool known = false;
    std::shared_ptr<Wakeable> wakes = FindWakeable(handle, &known);
    if (wakes == nullptr || signal <= 0) return Result::Error(kInvalidArgument);
    for (Entry& entry : entries) {
      if (entry.signal != 0) continue;
      entry.pending = false;
      entry.wakes = wakes.get();
      entry.signal = signal;
      const Result caught = CatchSignal(signal, OnSignal);
      if (!caught.ok()) {
        entry.signal = 0;
        entry.wakes = nullptr;
        return caught;
      }
      entry_ = &entry;
      wakes_ = std::move(wakes);
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

  void Close(const Napi::CallbackInfo&) { Forget(); }

  void Forget() {
    if (entry_ == nullptr) return;
    const std::lock_guard lock(TableMutex());
    const int signal = entry_->signal;
    entry_->signal = 0;
    entry_->wakes = nullptr;
    entry_ = nullptr;
    bool is_last = true;
    for (const Entry& entry : entries) is_last = is_last && entry.signal != signal;
    if (is_last) RestoreSignal(signal);
    // A handler in another thread that has seen the entry still may use what it wakes. One in this thread has run to
    // its end.
    while (reading > 0) std::this_thread::yield();
    wakes_.reset();
  }

  Entry* entry_ = nullptr;
  std::shared_ptr<Wakeable> wakes_;
};

// endOnRepeat(milliseconds): of the signals that are watched, the first one is handled; another one, or the same after
// so many milliseconds, ends the process by the system's own action. -1: no longer.
void EndOnRepeat(const Napi::CallbackInfo& info) {
  Args args(info);
  const int after = args.IntAt(0);
  if (!args.ok()) return;
  repeat_after = -1;
  first.at = 0;
  first.signal = 0;
  repeat_after = after;
}

}  // namespace

void RegisterSignals(Napi::Env env, Napi::Object exports) {
  exports.Set("SignalWatch", SignalWatch::Define(env));
  exports.Set("endOnRepeat", Napi::Function::New(env, EndOnRepeat));
}

}  // namespace selectors
