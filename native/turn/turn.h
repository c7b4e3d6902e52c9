// The hot path of the reactor loop: see turn.cc.
#pragma once

#include <napi.h>

namespace selectors {

// Sets exports.Turn, exports.flush and their constants.
void RegisterTurn(Napi::Env env, Napi::Object exports);

}  // namespace selectors
