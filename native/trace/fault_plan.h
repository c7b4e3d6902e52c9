// What JavaScript sees of fault plans (core/faults.h).
#pragma once

#include <napi.h>

namespace selectors {

void RegisterFaultPlan(Napi::Env env, Napi::Object exports);

}  // namespace selectors
