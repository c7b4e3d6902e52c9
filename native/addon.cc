// The addon's entry: registers everything that it exports, once for each environment (the main thread, every worker).
// It has no global state that belongs to one environment: what has a lifetime is a JavaScript object, or owned by one.
//
// Where to find what, in native/:
//   core/        core/syscall.h makes every system call, core/trace.h records it, core/faults.h injects faults
//   platform/    everything that differs between systems (platform.h), and how each system call is printed
//   mechanisms/  select, poll, epoll, kqueue, AFD, /dev/poll, io_uring, IOCP
//   net/         sockets and addresses
//   wait/        waits that other threads end, waits in the background of Node's loop, signals
//   turn/        the hot path of a loop: waits and receives in one call, sends in another
//   trace/       traces and fault plans as JavaScript uses them
//   shared/      files as shared memory
#include <napi.h>

#include <vector>

#include "core/descriptor.h"
#include "core/environment.h"
#include "mechanisms/mechanisms.h"
#include "net/net.h"
#include "platform/platform.h"
#include "shared/shared_file.h"
#include "trace/fault_plan.h"
#include "trace/recording.h"
#include "turn/turn.h"
#include "wait/wait.h"

namespace selectors {
namespace {

// Those that are compiled in. JavaScript finds them by name.
const std::vector<MultiplexerRow>& MultiplexersOfThisSystem() {
  static const auto* const all = [] {
    auto* const list = new std::vector<MultiplexerRow>{kSelect, kPoll};
    if constexpr (kHasEpoll) list->push_back(kEpoll);
    if constexpr (kHasKqueue) list->push_back(kKqueue);
    if constexpr (kHasAfd) list->push_back(kAfd);
    if constexpr (kHasDevpoll) list->push_back(kDevpoll);
    return list;
  }();
  return *all;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  if (!Environment::Attach(env)) {
    Napi::Error::New(env, "napi_set_instance_data failed").ThrowAsJavaScriptException();
    return exports;
  }
  if (!StartNetwork().ok()) {
    Napi::Error::New(env, "WSAStartup failed").ThrowAsJavaScriptException();
    return exports;
  }
  RegisterRecording(env, exports);
  RegisterFaultPlan(env, exports);
  RegisterDescriptor(env, exports);
  RegisterSelect(env, exports);
  RegisterPoll(env, exports);
  if constexpr (kHasEpoll) RegisterEpoll(env, exports);
  if constexpr (kHasKqueue) RegisterKqueue(env, exports);
  if constexpr (kHasAfd) RegisterAfd(env, exports);
  if constexpr (kHasDevpoll) RegisterDevpoll(env, exports);
  if constexpr (kHasIocp) RegisterIocp(env, exports);
  if constexpr (kHasIoUring) RegisterIoUring(env, exports);
  RegisterAddress(env, exports);
  RegisterConstants(env, exports);
  RegisterSocket(env, exports);
  if constexpr (kHasPassFds) RegisterPassFds(env, exports);
  if constexpr (kHasShareSocket) RegisterShareSocket(env, exports);
  RegisterSharedFile(env, exports);
  RegisterWakeup(env, exports);
  RegisterWaiter(env, exports);
  RegisterLoopWatch(env, exports);
  RegisterSignals(env, exports);
  if constexpr (kHasThreadInterrupt) RegisterInterrupt(env, exports);
  RegisterMultiplexers(env, exports, MultiplexersOfThisSystem());
  RegisterTurn(env, exports);
  return exports;
}

}  // namespace
}  // namespace selectors

// NOLINTNEXTLINE(google-global-names-in-headers): lint.mjs checks many sources at once
using selectors::Init;
NODE_API_MODULE(selectors_native, Init)
