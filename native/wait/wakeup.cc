// Wakeup: lets one thread end the wait of another.
//
// A Wakeup is a wake channel that its owner watches among its descriptors. Its handle (core/wakeable.h) is a number
// that can be sent to any thread of the process; wakeup(handle) there signals the channel.
#include <memory>

#include "core/args.h"
#include "core/wakeable.h"
#include "wait/wait.h"

namespace selectors {
namespace {

// new Wakeup(): open() -> 0 or a negative error, then fd() and handle(); drain(), close().
class Wakeup : public Napi::ObjectWrap<Wakeup> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Wakeup",
                       {InstanceMethod<&Wakeup::Open>("open"), InstanceMethod<&Wakeup::Descriptor>("fd"),
                        InstanceMethod<&Wakeup::Handle>("handle"), InstanceMethod<&Wakeup::Drain>("drain"),
                        InstanceMethod<&Wakeup::Close>("close")});
  }

  explicit Wakeup(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Wakeup>(info) {}
  ~Wakeup() override { Release(); }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (channel_ != nullptr) return Napi::Number::New(info.Env(), 0);
    auto channel = std::make_shared<WakeChannel>();
    const Result opened = channel->Open();
    if (opened.ok()) {
      channel_ = channel;
      handle_ = RegisterWakeable(std::move(channel));
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
  void Close(const Napi::CallbackInfo&) { Release(); }

  void Release() {
    if (channel_ == nullptr) return;
    UnregisterWakeable(handle_);
    channel_.reset();
  }

  std::shared_ptr<WakeChannel> channel_;
  uint32_t handle_ = 0;
};

// wakeup(handle): true; false for a number that was never a handle. Closed by its owner is no error: that can happen
// while the handle is being sent to another thread.
napi_value WakeUp(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const size_t handle = args.SizeAt(0, UINT32_MAX);
  if (!args.ok()) return nullptr;
  bool was_registered = false;
  const auto wakeable = FindWakeable(static_cast<uint32_t>(handle), &was_registered);
  if (wakeable != nullptr) wakeable->Signal().Ignore("it is open; a full channel is signalled already");
  napi_value result = nullptr;
  napi_get_boolean(env, was_registered, &result);
  return result;
}

}  // namespace

void RegisterWakeup(Napi::Env env, Napi::Object exports) {
  exports.Set("Wakeup", Wakeup::Define(env));
  Export(env, exports, "wakeup", WakeUp);
  exports.Set("wakeSyscall", Napi::String::New(env, kWakeSyscall));
}

}  // namespace selectors
