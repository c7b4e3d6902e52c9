// Exports fault plans (core/faults.h) to JavaScript.
#pragma once

#include <napi.h>

namespace selectors {

void RegisterFaultPlan(Napi::Env env, Napi::Object exports);

}  // namespace selectors
