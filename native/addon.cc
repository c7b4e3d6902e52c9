// The addon: one table of what it exports, made anew for each environment (the main thread, every worker). What
// has a lifetime is an object of its environment, or owned by one.
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

// Those that are compiled here; JavaScript finds them by name.
const std::vector<MultiplexerRow>& MultiplexersOfThisSystem() {
  static const auto* const all = [] {
    auto* const list = new std::vector<MultiplexerRow>{kSelect, kPoll};
    if constexpr (kHasEpoll) list->push_back(kEpoll);
    if constexpr (kHasKqueue) list->push_back(kKqueue);
    return list;
  }();
  return *all;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  if (!Environment::Attach(env)) {
    Napi::Error::New(env, "Node.js has no place for what this environment has").ThrowAsJavaScriptException();
    return exports;
  }
  if (!StartNetwork().ok()) {
    Napi::Error::New(env, "Winsock could not be started").ThrowAsJavaScriptException();
    return exports;
  }
  RegisterRecording(env, exports);
  RegisterFaultPlan(env, exports);
  RegisterDescriptor(env, exports);
  RegisterSelect(env, exports);
  RegisterPoll(env, exports);
  if constexpr (kHasEpoll) RegisterEpoll(env, exports);
  if constexpr (kHasKqueue) RegisterKqueue(env, exports);
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
  RegisterMultiplexers(env, exports, MultiplexersOfThisSystem());
  RegisterTurn(env, exports);
  return exports;
}

}  // namespace
}  // namespace selectors

using selectors::Init;
NODE_API_MODULE(selectors_native, Init)
