#include "core/descriptor.h"

#include <array>
#include <memory>

#include "core/args.h"
#include "core/environment.h"

namespace selectors {
namespace {

// Not a Napi::ObjectWrap, which only its finalizer deletes: finalizers run on Node's loop, and a thread that blocks
// forever never gets there. close() and release() delete the native object at once.
class Descriptor {
 public:
  static napi_value Define(napi_env env) {
    const auto method = [](const char* name, napi_callback function) {
      return napi_property_descriptor{
          name, nullptr, function, nullptr, nullptr, nullptr, napi_default_method, nullptr,
      };
    };
    const std::array methods{method("close", Close), method("release", Release)};
    napi_value type = nullptr;
    napi_define_class(env, "Descriptor", NAPI_AUTO_LENGTH, New, nullptr, methods.size(), methods.data(), &type);
    return type;
  }

 private:
  static napi_value New(napi_env env, napi_callback_info info) {
    napi_value type = nullptr;
    if (napi_get_new_target(env, info, &type) != napi_ok) return nullptr;
    if (type == nullptr) {
      napi_throw_type_error(env, nullptr, "Class constructors cannot be invoked without 'new'");
      return nullptr;
    }
    Args args(env, info);
    const Fd fd = args.FdAt(0);
    if (!args.ok()) return nullptr;
    napi_value object = This(env, info);
    auto held = std::make_unique<UniqueFd>();
    const auto finalize = [](napi_env, void* data, void*) { delete static_cast<UniqueFd*>(data); };
    const napi_status wrapped = napi_wrap(env, object, held.get(), finalize, nullptr, nullptr);
    UniqueFd* const owner = held.release();  // the finalizer deletes it
    // Wrapping fails only while the environment ends. Depending on where it failed, the finalizer may still run: so the
    // object is not deleted here, and it does not own the descriptor, which stays in UnclaimedFds.
    if (wrapped != napi_ok) return nullptr;
    *owner = UniqueFd(fd);
    UnclaimedFds::Remove(env, fd);
    return object;
  }

  static napi_value Close(napi_env env, napi_callback_info info) {
    const std::unique_ptr<UniqueFd> held = Take(env, info);
    return ToJavaScript(env, held == nullptr ? Result::Ok(0) : held->Close());
  }
  static napi_value Release(napi_env env, napi_callback_info info) {
    const std::unique_ptr<UniqueFd> held = Take(env, info);
    napi_value number = nullptr;
    napi_create_double(env, FdToJavaScript(held == nullptr ? kNoFd : held->Release()), &number);
    return number;
  }

  // Null: closed or released already. V8 calls these methods on objects of this class only.
  static std::unique_ptr<UniqueFd> Take(napi_env env, napi_callback_info info) {
    void* held = nullptr;
    if (napi_remove_wrap(env, This(env, info), &held) != napi_ok) return nullptr;
    return std::unique_ptr<UniqueFd>(static_cast<UniqueFd*>(held));
  }
  static napi_value This(napi_env env, napi_callback_info info) {
    napi_value object = nullptr;
    napi_get_cb_info(env, info, nullptr, nullptr, &object, nullptr);
    return object;
  }
};

// One owner of many descriptors: a Descriptor per connection of a loop would take more memory than the connection.
class Descriptors : public Napi::ObjectWrap<Descriptors> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Descriptors",
        {InstanceMethod<&Descriptors::Add>("add"), InstanceMethod<&Descriptors::Close>("close"),
         InstanceMethod<&Descriptors::Remove>("remove"), InstanceMethod<&Descriptors::CloseAll>("closeAll")});
  }

  explicit Descriptors(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Descriptors>(info) {}
  ~Descriptors() override { CloseEach(); }

 private:
  // add(fd): takes ownership.
  void Add(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (!args.ok()) return;
    fds_.insert(fd);
    UnclaimedFds::Remove(Env(), fd);
  }
  // close(fd): 0 or a negative error. EBADF: it was not added; it stays open.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (!args.ok()) return info.Env().Undefined();
    const Result closed = fds_.erase(fd) == 0 ? Result::Error(kBadDescriptor) : CloseFd(fd);
    return {info.Env(), ToJavaScript(info.Env(), closed)};
  }
  // remove(fd): ends ownership without closing: it is closed already, and the number may belong to another file.
  void Remove(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (args.ok()) fds_.erase(fd);
  }
  void CloseAll(const Napi::CallbackInfo&) { CloseEach(); }
  void CloseEach() {
    for (const Fd fd : fds_) CloseFd(fd).Ignore("the descriptor is closed whatever close(2) returns");
    fds_.clear();
  }

  std::unordered_set<Fd> fds_;
};

}  // namespace

UnclaimedFds::~UnclaimedFds() {
  for (const Fd fd : fds_) CloseFd(fd).Ignore("the descriptor is closed whatever close(2) returns");
}

void UnclaimedFds::Add(napi_env env, Fd fd) { Environment::Of(env).unclaimed_fds().fds_.insert(fd); }

void UnclaimedFds::Remove(napi_env env, Fd fd) { Environment::Of(env).unclaimed_fds().fds_.erase(fd); }

napi_value NewFdToJavaScript(napi_env env, Result opened) {
  if (opened.ok()) UnclaimedFds::Add(env, static_cast<Fd>(opened.value()));
  return ToJavaScript(env, opened);
}

void RegisterDescriptor(Napi::Env env, Napi::Object exports) {
  exports.Set("Descriptor", Napi::Value(env, Descriptor::Define(env)));
  exports.Set("Descriptors", Descriptors::Define(env));
}

}  // namespace selectors
