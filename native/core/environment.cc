#include "core/environment.h"

namespace selectors {
namespace {

// A thread in which the addon is loaded twice has one recorder.
std::shared_ptr<Recorder> RecorderOfThread() {
  std::shared_ptr<Recorder> recorder = Recorder::OfCurrentThread();
  return recorder == nullptr ? std::make_shared<Recorder>() : recorder;
}

}  // namespace

Environment::Environment() : recorder_(RecorderOfThread()), recorder_scope_(recorder_) {}

bool Environment::Attach(napi_env env) {
  auto* const environment = new Environment;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); };
  if (napi_set_instance_data(env, environment, finalize, nullptr) == napi_ok) return true;
  delete environment;
  return false;
}

Environment& Environment::Of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Environment*>(data);
}

}  // namespace selectors
