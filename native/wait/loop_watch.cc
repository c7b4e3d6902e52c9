// LoopWatch: Node's own loop watches one descriptor, such as an epoll or kqueue, which is readable while one of its own
// descriptors is ready (epoll(7)). So an event loop of ours runs inside Node's, without a thread between them.
//
// Node-API has no function for it; libuv, Node's loop, has uv_poll_start(). libuv's functions are looked up by name in
// the running program: the addon also loads in programs without libuv, where open() returns 1 and our loops wait in a
// thread (waiter.cc). The functions used here are the same in all versions 1.x of libuv.
//
//   closed --open()--> stopped <--stop()/start()--> started --close(), or the environment ends--> closing --> deleted
//
// libuv uses the handle until its close callback: so the handle, with its own duplicate of the descriptor, is in a
// separate object (Watch), which outlives the JavaScript object.
#include <memory>

#include "core/args.h"
#include "wait/wait.h"

namespace selectors {
namespace {

using PollCallback = void (*)(void* handle, int status, int events);
using CloseCallback = void (*)(void* handle);

constexpr int kUvPoll = 8;  // UV_POLL of uv_handle_type
constexpr int kUvReadable = 1;

struct Libuv {
  size_t (*handle_size)(int type);
  int (*poll_init)(uv_loop_s* loop, void* handle, int fd);
  int (*poll_start)(void* handle, int events, PollCallback callback);
  int (*poll_stop)(void* handle);
  void (*close)(void* handle, CloseCallback callback);

  template <typename Function>
  static bool Find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(FindProgramFunction(name));
    return function != nullptr;
  }
  bool FindAll() {
    return Find(handle_size, "uv_handle_size") && Find(poll_init, "uv_poll_init") &&
           Find(poll_start, "uv_poll_start") && Find(poll_stop, "uv_poll_stop") && Find(close, "uv_close");
  }
};

class LoopWatch;

// The part that lives until libuv's close callback.
struct Watch {
  Libuv uv;
  std::unique_ptr<void*[]> handle;  // a uv_poll_t
  UniqueFd fd;
  LoopWatch* owner = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  bool closing = false;

  // The first field of a libuv handle, `data`, is free for its user.
  static Watch* Of(void* handle) { return static_cast<Watch*>(*static_cast<void**>(handle)); }

  void Close() {
    if (closing) return;
    closing = true;
    owner = nullptr;
    uv.close(handle.get(), [](void* closed) {
      Watch* const watch = Of(closed);
      if (watch->hook != nullptr) napi_remove_async_cleanup_hook(watch->hook);
      delete watch;
    });
  }
};

class LoopWatch : public Napi::ObjectWrap<LoopWatch> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "LoopWatch",
                       {InstanceMethod<&LoopWatch::Open>("open"), InstanceMethod<&LoopWatch::Start>("start"),
                        InstanceMethod<&LoopWatch::Stop>("stop"), InstanceMethod<&LoopWatch::Close>("close")});
  }

  explicit LoopWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LoopWatch>(info) {}
  ~LoopWatch() override { Detach(); }

  void OnReady() {
    const Napi::Env env = Env();
    const Napi::HandleScope scope(env);
    // Keeps this object alive during the callback, which may drop the last reference to it.
    [[maybe_unused]] const Napi::Object self = Value();
    const Napi::Function callback = callback_.Value();
    callback.MakeCallback(env.Global(), {});
    napi_value thrown = nullptr;
    bool is_pending = false;
    if (napi_is_exception_pending(env, &is_pending) == napi_ok && is_pending &&
        napi_get_and_clear_last_exception(env, &thrown) == napi_ok) {
      napi_fatal_exception(env, thrown);
    }
  }
  void OnEnvironmentEnd() { watch_ = nullptr; }

 private:
  // open(fd, callback): 0; a negative error; or 1: this program has no libuv loop that can watch the descriptor.
  Napi::Value Open(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (args.ok() && !info[1].IsFunction()) args.Fail(1, "a function");
    if (!args.ok()) return info.Env().Undefined();
    if (watch_ != nullptr) return Napi::Number::New(info.Env(), 0);
    const Result opened = OpenWatch(fd);
    if (watch_ != nullptr) callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    return {info.Env(), ToJavaScript(info.Env(), opened)};
  }

  Result OpenWatch(Fd fd) {
    auto watch = std::make_unique<Watch>();
    uv_loop_s* loop = nullptr;
    if (!kUvPollsAnyDescriptor || !watch->uv.FindAll() || napi_get_uv_event_loop(Env(), &loop) != napi_ok) {
      return Result::Ok(1);
    }
    const Result copy = DuplicateFd(fd);
    if (!copy.ok()) return copy;
    watch->fd = UniqueFd(static_cast<Fd>(copy.value()));
    watch->handle = std::make_unique<void*[]>(watch->uv.handle_size(kUvPoll) / sizeof(void*) + 1);
    if (watch->uv.poll_init(loop, watch->handle.get(), static_cast<int>(watch->fd.get())) != 0) return Result::Ok(1);
    watch->handle[0] = watch.get();
    watch->owner = this;
    watch_ = watch.release();
    const auto end = [](napi_async_cleanup_hook_handle, void* data) {
      auto* const ending = static_cast<Watch*>(data);
      if (ending->owner != nullptr) ending->owner->OnEnvironmentEnd();
      ending->Close();
    };
    if (napi_add_async_cleanup_hook(Env(), end, watch_, &watch_->hook) != napi_ok) {
      Detach();
      return Result::Ok(1);
    }
    return Result::Ok(0);
  }

  // start(): 0 or a negative error. Until stop(), each iteration of Node's loop that finds the descriptor readable
  // calls the callback, and Node's loop stays alive.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    const auto ready = [](void* handle, int, int) {
      if (LoopWatch* const owner = Watch::Of(handle)->owner) owner->OnReady();
    };
    const int error = watch_ == nullptr ? 0 : watch_->uv.poll_start(watch_->handle.get(), kUvReadable, ready);
    return Napi::Number::New(info.Env(), error);
  }

  void Stop(const Napi::CallbackInfo&) {
    if (watch_ != nullptr) watch_->uv.poll_stop(watch_->handle.get());
  }

  // Also releases the callback, which may refer to the owner of this object.
  void Close(const Napi::CallbackInfo&) {
    Detach();
    callback_.Reset();
  }

  void Detach() {
    if (watch_ == nullptr) return;
    watch_->Close();
    watch_ = nullptr;
  }

  Watch* watch_ = nullptr;
  Napi::FunctionReference callback_;
};

}  // namespace

void RegisterLoopWatch(Napi::Env env, Napi::Object exports) { exports.Set("LoopWatch", LoopWatch::Define(env)); }

}  // namespace selectors
