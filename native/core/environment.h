// What an environment (the main thread, a worker) has for as long as it lives. Node finalizes it there last: it was the
// first to be made.
#pragma once

#include <node_api.h>

#include <memory>

#include "core/descriptor.h"
#include "core/trace.h"

namespace selectors {

class Environment {
 public:
  // Before anything else is made there. False: Node refuses.
  static bool Attach(napi_env env);
  static Environment& Of(napi_env env);

  UnclaimedFds& unclaimed_fds() { return unclaimed_fds_; }
  const std::shared_ptr<Recorder>& recorder() const { return recorder_; }

 private:
  Environment();

  std::shared_ptr<Recorder> recorder_;
  RecorderScope recorded_;  // until all that is unclaimed is closed
  UnclaimedFds unclaimed_fds_;
};

}  // namespace selectors
