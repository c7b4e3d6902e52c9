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
    if (args.ok()) fd_ = UniqueFd(fd);
  }

 private:
  Napi::Value Close(const Napi::CallbackInfo& info) { return {info.Env(), ToJavaScript(info.Env(), fd_.Close())}; }
  Napi::Value Release(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), FdToJavaScript(fd_.Release()));
  }

  UniqueFd fd_;
};

}  // namespace

void RegisterDescriptor(Napi::Env env, Napi::Object exports) { exports.Set("Descriptor", Descriptor::Define(env)); }

}  // namespace selectors
