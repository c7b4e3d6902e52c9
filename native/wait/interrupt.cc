// ThreadInterrupt (core/interrupt.h) for JavaScript: its handle is one for wakeup() (wakeup.cc).
#include "core/interrupt.h"

#include <memory>
#include <vector>

#include "core/args.h"
#include "core/syscall.h"
#include "core/wait.h"
#include "wait/wait.h"

namespace selectors {

constinit thread_local ThreadInterrupt* current_interrupt = nullptr;

ThreadInterrupt::ThreadInterrupt() { current_interrupt = this; }

Result ThreadInterrupt::Signal() {
  const std::lock_guard lock(mutex_);
  if (closed_) return Result::Ok(0);
  requested_ = true;
  return InterruptThread(thread_);
}

void ThreadInterrupt::Close() {
  const std::lock_guard lock(mutex_);
  if (current_interrupt == this) current_interrupt = nullptr;
  closed_ = true;
}

namespace {

// How often a request is repeated, in milliseconds.
constexpr double kRepeatInterval = 10;

// new ThreadInterrupt(): open() -> 0 or a negative error, then handle(); endWhenReadable(fd) -> 0 or a negative error;
// close(). Without close(), ends with its environment.
class InterruptObject : public Napi::ObjectWrap<InterruptObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "ThreadInterrupt",
        {InstanceMethod<&InterruptObject::Open>("open"), InstanceMethod<&InterruptObject::Handle>("handle"),
         InstanceMethod<&InterruptObject::EndWhenReadable>("endWhenReadable"),
         InstanceMethod<&InterruptObject::Close>("close")});
  }

  explicit InterruptObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<InterruptObject>(info) {}
  ~InterruptObject() override { Release(); }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (interrupt_ != nullptr) return Napi::Number::New(info.Env(), 0);
    const Result caught = CatchInterrupts();
    if (caught.ok()) {
      interrupt_ = std::make_shared<ThreadInterrupt>();
      handle_ = RegisterWakeable(interrupt_);
    }
    return {info.Env(), ToJavaScript(info.Env(), caught.ok() ? Result::Ok(0) : caught)};
  }

  Napi::Value Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), handle_); }

  // Interrupts the thread, again and again, from when the descriptor is readable or has been hung up.
  Napi::Value EndWhenReadable(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd watched = args.FdAt(0);
    if (!args.ok() || interrupt_ == nullptr || watched_ != kNoFd) return info.Env().Undefined();
    watched_ = watched;
    Result started = end_of_watch_.Open();
    if (started.ok()) {
      started = watcher_.Start([](void* self) { static_cast<InterruptObject*>(self)->Watch(); }, this);
    }
    return {info.Env(), ToJavaScript(info.Env(), started.ok() ? Result::Ok(0) : started)};
  }

  // In the background thread.
  void Watch() {
    const auto wait = [this](size_t count, double timeout) {
      PollFd fds[] = {{end_of_watch_.fd(), POLLIN, 0}, {watched_, POLLIN, 0}};
      Wait(timeout, [&](double remaining) {
        return PollFds(fds, count, CeilMilliseconds(remaining));
      }).Ignore("fds[0] has the answer");
      return fds[0].revents == 0;
    };
    for (bool goes_on = wait(2, kForever); goes_on; goes_on = wait(1, kRepeatInterval)) {
      interrupt_->Signal().Ignore("it is repeated");
    }
  }

  void Close(const Napi::CallbackInfo&) { Release(); }

  void Release() {
    if (interrupt_ == nullptr) return;
    if (end_of_watch_.fd() != kNoFd) end_of_watch_.Signal().Ignore("it is open");
    watcher_.Join();
    end_of_watch_.Close();
    UnregisterWakeable(handle_);
    interrupt_->Close();
    interrupt_.reset();
    watched_ = kNoFd;
  }

  std::shared_ptr<ThreadInterrupt> interrupt_;
  uint32_t handle_ = 0;
  Fd watched_ = kNoFd;
  WakeChannel end_of_watch_;
  Thread watcher_;
};

// interruptUntilEnded(handles): signals these, or all handles of the process if there are none, again and again in a
// thread of its own, until none of them interrupts a thread any more.
napi_value InterruptUntilEnded(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<int32_t> handles = args.IntsAt(0);
  if (!args.ok()) return nullptr;
  struct Repeater {
    std::vector<uint32_t> handles;
    Thread thread;
  };
  // Never destroyed: the process may exit while the threads run.
  static auto* const mutex = new std::mutex;
  static auto* const repeaters = new std::vector<std::unique_ptr<Repeater>>;
  const std::lock_guard lock(*mutex);
  repeaters->push_back(std::make_unique<Repeater>());
  Repeater& repeater = *repeaters->back();
  repeater.handles.assign(handles.begin(), handles.end());
  const auto run = [](void* data) {
    while (SignalWakeables(static_cast<Repeater*>(data)->handles) > 0) SleepMilliseconds(kRepeatInterval);
  };
  repeater.thread.Start(run, &repeater).Ignore("the caller exits, and has no other way");
  return nullptr;
}

}  // namespace

void RegisterInterrupt(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "interruptUntilEnded", InterruptUntilEnded);
  exports.Set("ThreadInterrupt", InterruptObject::Define(env));
}

}  // namespace selectors
