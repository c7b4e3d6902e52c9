// An addon with a deliberate leak: memory that nothing points to as soon as it is loaded.
// `npm run test:sanitize` checks with it that LeakSanitizer's reports of this package's code are found.
#include <node_api.h>

#include <cstring>

namespace {

constexpr size_t kLength = 4321;  // which the check looks for

void Leak() {
  // volatile: or the compiler removes memory that nothing reads
  char* volatile memory = new char[kLength];
  std::memset(memory, 1, kLength);
  memory = nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  static_cast<void>(env);
  Leak();
  return exports;
}
