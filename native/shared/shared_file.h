// Memory that several processes share, and a lock around what they do with it.
#pragma once

#include <napi.h>

namespace selectors {

// exports.SharedFile: see shared_file.cc.
void RegisterSharedFile(Napi::Env env, Napi::Object exports);

}  // namespace selectors
