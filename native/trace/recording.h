// Exports tracing (core/trace.h) to JavaScript.
#pragma once

#include <napi.h>

namespace selectors {

void RegisterRecording(Napi::Env env, Napi::Object exports);

}  // namespace selectors
