// Wake-ups: one thread ends the wait of another.
//
// new Wakeup() opens a channel that its owner watches among its descriptors, and gives it a handle, a number that any
// thread of the process may be sent. wakeup(handle) signals it. Numbers are never used again, so one that comes too
// late wakes nobody else.
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/args.h"
#include "wait/wait.h"

namespace selectors {
namespace {

// All open channels of the process. Threads share nothing else: each has an environment and objects of its own, so this
// is the one table that cannot be an environment's.
class Registry {
 public:
  uint32_t Add(std::shared_ptr<WakeChannel> channel) {
    const std::lock_guard lock(mutex_);
    channels_.emplace(++last_, std::move(channel));
    return last_;
  }
  void Remove(uint32_t handle) {
    const std::lock_guard lock(mutex_);
    channels_.erase(handle);
  }
  // The channel stays open while it is signalled, whoever closes it meanwhile. known: the number was given out once.
  std::shared_ptr<WakeChannel> Find(uint32_t handle, bool* known) {
    const std::lock_guard lock(mutex_);
    *known = handle > 0 && handle <= last_;
    const auto found = channels_.find(handle);
    return found == channels_.end() ? nullptr : found->second;
  }

  static Registry& OfProcess() {
    // Never destroyed: a worker may end after the main thread has begun to.
    static auto* const registry = new Registry;
    return *registry;
  }

 private:
  std::mutex mutex_;
  uint32_t last_ = 0;
  std::unordered_map<uint32_t, std::shared_ptr<WakeChannel>> channels_;
};

// new Wakeup(): open() -> 0 or a negative error, then fd() and handle(); signal(), drain(), close().
class Wakeup : public Napi::ObjectWrap<Wakeup> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Wakeup",
                       {InstanceMethod<&Wakeup::Open>("open"), InstanceMethod<&Wakeup::Descriptor>("fd"),
                        InstanceMethod<&Wakeup::Handle>("handle"), InstanceMethod<&Wakeup::Drain>("drain"),
                        InstanceMethod<&Wakeup::Close>("close")});
  }

  explicit Wakeup(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Wakeup>(info) {}
  ~Wakeup() override { Forget(); }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (channel_ != nullptr) return Napi::Number::New(info.Env(), 0);
    auto channel = std::make_shared<WakeChannel>();
    const Result opened = channel->Open();
    if (opened.ok()) {
      channel_ = channel;
      handle_ = Registry::OfProcess().Add(std::move(channel));
    }
    return {info.Env(), ToJavaScript(info.Env(), opened.ok() ? Result::Ok(0) : opened)};
  }
  Napi::Value Descriptor(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), FdToJavaScript(channel_ == nullptr ? kNoFd : channel_->fd()));
  }
  Napi::Value Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), handle_); }
  void Drain(const Napi::CallbackInfo&) {
    if (channel_ != nullptr) channel_->Drain();
  }
  void Close(const Napi::CallbackInfo&) { Forget(); }

  void Forget() {
    if (channel_ == nullptr) return;
    Registry::OfProcess().Remove(handle_);
    channel_.reset();
  }

  std::shared_ptr<WakeChannel> channel_;
  uint32_t handle_ = 0;
};

// wakeup(handle): true, or false for a number that was never given out. One whose channel is closed is no error: its
// owner may close it while the number is on its way.
napi_value WakeUp(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const size_t handle = args.SizeAt(0, UINT32_MAX);
  if (!args.ok()) return nullptr;
  bool known = false;
  const auto channel = Registry::OfProcess().Find(static_cast<uint32_t>(handle), &known);
  if (channel != nullptr)
    channel->Signal().Ignore("the channel is open and full at the most, which counts as signalled");
  napi_value result = nullptr;
  napi_get_boolean(env, known, &result);
  return result;
}

}  // namespace

std::shared_ptr<WakeChannel> FindWakeChannel(uint32_t handle) {
  bool known = false;
  return Registry::OfProcess().Find(handle, &known);
}

void RegisterWakeup(Napi::Env env, Napi::Object exports) {
  exports.Set("Wakeup", Wakeup::Define(env));
  Export(env, exports, "wakeup", WakeUp);
  exports.Set("wakeSyscall", Napi::String::New(env, kWakeSyscall));
}

}  // namespace selectors
