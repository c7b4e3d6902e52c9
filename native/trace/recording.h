// What JavaScript sees of the trace (core/trace.h).
#pragma once

#include <napi.h>

namespace selectors {

void RegisterRecording(Napi::Env env, Napi::Object exports);

}  // namespace selectors
