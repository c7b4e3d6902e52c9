// exports.constants: the numbers of this system's headers (AF_*, SO_*, …), by name. platform/constants.inc is generated
// (scripts/list-constants.mjs).
#include "net/net.h"
#include "platform/constants_headers.h"
#include "platform/platform.h"

namespace selectors {

void RegisterConstants(Napi::Env env, Napi::Object exports) {
  Napi::Object constants = Napi::Object::New(env);
  const auto constant = [&](const char* name, double value) { constants.Set(name, Napi::Number::New(env, value)); };
#include "platform/constants.inc"
  exports.Set("constants", constants);
}

}  // namespace selectors
