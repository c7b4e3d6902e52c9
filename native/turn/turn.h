// The hot path of the loops: see turn.cc.
#pragma once

#include <napi.h>

namespace selectors {

// exports.Turn, exports.flush
void RegisterTurn(Napi::Env env, Napi::Object exports);

}  // namespace selectors
