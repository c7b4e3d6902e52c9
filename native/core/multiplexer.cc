// JavaScript's face of a multiplexer is one function, wait(timeout), whose data pointer is the native object: calling
// it costs a third of calling a wrapped object's method. The function owns the native object.
#include "core/multiplexer.h"

#include "core/outgoing.h"

namespace selectors {
namespace {

// Marks the functions that are a multiplexer's wait().
constexpr napi_type_tag kWaitTag{0x7c1f6a2e90d34b58, 0x8e05d2b7413fa96c};

constexpr size_t kReadyFields = sizeof(ReadyEvent) / sizeof(int32_t);

using Owner = std::shared_ptr<MultiplexerHandle>;

// multiplexers.epoll() and its like: a new wait().
napi_value Make(napi_env env, napi_callback_info info) {
  const Args args(env, info, 0);
  if (!args.ok()) return nullptr;
  const auto& row = *static_cast<const MultiplexerRow*>(args.data());
  auto owner = std::make_unique<Owner>(std::make_shared<MultiplexerHandle>(row.make()));
  napi_value wait = nullptr;
  if (napi_create_function(env, "wait", NAPI_AUTO_LENGTH, row.wait, owner->get(), &wait) != napi_ok) return nullptr;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Owner*>(data); };
  const napi_status wrapped = napi_wrap(env, wait, owner.get(), finalize, nullptr, nullptr);
  // The finalizer deletes it. Also after a failure, when the function has the address already.
  static_cast<void>(owner.release());
  if (wrapped != napi_ok || napi_type_tag_object(env, wait, &kWaitTag) != napi_ok) return nullptr;
  return wait;
}

// prepareWait(wait, set, interest, count, memory): 0 or a negative error. Sets what `wait` watches, `count` pairs of
// `interest` (Multiplexer::Watch), and where it writes its records: `memory`, an Int32Array over a SharedArrayBuffer.
napi_value PrepareWait(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Owner multiplexer = args.ok() ? MultiplexerOf(env, args.ValueAt(0)) : nullptr;
  if (multiplexer == nullptr) args.Fail(0, "the wait of a multiplexer");
  const Fd set = args.FdAt(1);
  const std::span<const int32_t> interest = args.IntsAt(2);
  const size_t count = args.SizeAt(3, interest.size() / 2);
  const std::span<int32_t> memory = args.SharedIntsAt(4);
  if (!args.ok()) return nullptr;
  const Result watched = multiplexer->multiplexer().Watch(set, interest.first(2 * count));
  if (watched.ok()) multiplexer->SetRecords(env, args.ValueAt(4), RecordsIn<ReadyEvent>(memory));
  return ToJavaScript(env, watched);
}

}  // namespace

std::shared_ptr<MultiplexerHandle> MultiplexerOf(napi_env env, napi_value wait) {
  napi_valuetype type = napi_undefined;
  bool is_wait = false;
  void* owner = nullptr;
  if (wait == nullptr || napi_typeof(env, wait, &type) != napi_ok || type != napi_function ||
      napi_check_object_type_tag(env, wait, &kWaitTag, &is_wait) != napi_ok || !is_wait ||
      napi_unwrap(env, wait, &owner) != napi_ok) {
    return nullptr;
  }
  return *static_cast<Owner*>(owner);
}

void RegisterMultiplexers(Napi::Env env, Napi::Object exports, std::span<const MultiplexerRow> rows) {
  Napi::Object makers = Napi::Object::New(env);
  for (const MultiplexerRow& row : rows) {
    napi_value make = nullptr;
    if (napi_create_function(env, row.name, NAPI_AUTO_LENGTH, Make, const_cast<MultiplexerRow*>(&row), &make) ==
        napi_ok) {
      makers.Set(row.name, make);
    }
  }
  exports.Set("multiplexers", makers);
  Export(env, exports, "prepareWait", PrepareWait);
  exports.Set("READY_FIELDS", Napi::Number::New(env, static_cast<double>(kReadyFields)));
}

}  // namespace selectors
