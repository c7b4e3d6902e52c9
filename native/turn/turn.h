// The hot path of the loops: see turn.cc.
#pragma once

#include <napi.h>

#include <vector>

#include "core/multiplexer.h"

namespace selectors {

using Multiplexers = std::vector<Multiplexer>;

// exports.Turn, and exports.multiplexers: the number of each mechanism by its name. The list must outlive the addon.
void RegisterTurn(Napi::Env env, Napi::Object exports, const Multiplexers& multiplexers);

}  // namespace selectors
