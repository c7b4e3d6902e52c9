#include "core/descriptor.h"

#include "core/args.h"

namespace selectors {
namespace {

class Descriptor : public Napi::ObjectWrap<Descriptor> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Descriptor",
                       {InstanceMethod<&Descriptor::Close>("close"), InstanceMethod<&Descriptor::Release>("release")});
  }

  explicit Descriptor(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Descriptor>(info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    // Not wrapped: the environment is ending, and whether anybody deletes this object depends on where wrapping
    // stopped.
    if (!args.ok() || IsEmpty()) return;
    fd_ = UniqueFd(fd);
    Unclaimed::Remove(Env(), fd);
  }

 private:
  Napi::Value Close(const Napi::CallbackInfo& info) { return {info.Env(), ToJavaScript(info.Env(), fd_.Close())}; }
  Napi::Value Release(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), FdToJavaScript(fd_.Release()));
  }

  UniqueFd fd_;
};

// Many descriptors with one owner. A wrapped object for each connection of a loop would cost more memory than the
// connection itself.
class Descriptors : public Napi::ObjectWrap<Descriptors> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Descriptors",
                       {InstanceMethod<&Descriptors::Add>("add"), InstanceMethod<&Descriptors::Close>("close"),
                        InstanceMethod<&Descriptors::CloseAll>("closeAll")});
  }

  explicit Descriptors(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Descriptors>(info) {}
  ~Descriptors() override { CloseEach(); }

 private:
  // add(fd): this object closes it from now on.
  void Add(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (!args.ok()) return;
    fds_.insert(fd);
    Unclaimed::Remove(Env(), fd);
  }
  // close(fd): 0 or a negative error. One that was never added stays open: EBADF.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (!args.ok()) return info.Env().Undefined();
    const Result closed = fds_.erase(fd) == 0 ? Result::Error(kBadDescriptor) : CloseFd(fd);
    return {info.Env(), ToJavaScript(info.Env(), closed)};
  }
  void CloseAll(const Napi::CallbackInfo&) { CloseEach(); }
  void CloseEach() {
    for (const Fd fd : fds_) CloseFd(fd).Ignore("the descriptor is gone whatever close(2) says");
    fds_.clear();
  }

  std::unordered_set<Fd> fds_;
};

}  // namespace

Unclaimed::~Unclaimed() {
  for (const Fd fd : fds_) CloseFd(fd).Ignore("the descriptor is gone whatever close(2) says");
}

void Unclaimed::Attach(napi_env env) {
  auto* unclaimed = new Unclaimed;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Unclaimed*>(data); };
  if (napi_set_instance_data(env, unclaimed, finalize, nullptr) != napi_ok) delete unclaimed;
}

Unclaimed* Unclaimed::Of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Unclaimed*>(data);
}

void Unclaimed::Add(napi_env env, Fd fd) {
  if (Unclaimed* const unclaimed = Of(env)) unclaimed->fds_.insert(fd);
}

void Unclaimed::Remove(napi_env env, Fd fd) {
  if (Unclaimed* const unclaimed = Of(env)) unclaimed->fds_.erase(fd);
}

napi_value OpenedToJavaScript(napi_env env, Result opened) {
  if (opened.ok()) Unclaimed::Add(env, static_cast<Fd>(opened.value()));
  return ToJavaScript(env, opened);
}

void RegisterDescriptor(Napi::Env env, Napi::Object exports) {
  exports.Set("Descriptor", Descriptor::Define(env));
  exports.Set("Descriptors", Descriptors::Define(env));
}

}  // namespace selectors
