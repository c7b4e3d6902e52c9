// The native state of one environment (the main thread, or a worker): Node-API's instance data. It is created before
// anything else in the environment, so Node finalizes it last.
#pragma once

#include <node_api.h>

#include <memory>

#include "core/descriptor.h"
#include "core/trace.h"

namespace selectors {

class Environment {
 public:
  // Creates the state of `env`. False: Node-API failed.
  static bool Attach(napi_env env);
  static Environment& Of(napi_env env);

  UnclaimedFds& unclaimed_fds() { return unclaimed_fds_; }
  const std::shared_ptr<Recorder>& recorder() const { return recorder_; }

 private:
  Environment();
  ~Environment() { SetSliceCell(nullptr); }

  std::shared_ptr<Recorder> recorder_;
  RecorderScope recorder_scope_;  // destroyed after unclaimed_fds_: closing those is recorded
  UnclaimedFds unclaimed_fds_;
};

}  // namespace selectors
