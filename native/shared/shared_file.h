// SharedFile: memory that several processes share, with a lock.
#pragma once

#include <napi.h>

namespace selectors {

// exports.SharedFile: see shared_file.cc.
void RegisterSharedFile(Napi::Env env, Napi::Object exports);

}  // namespace selectors
