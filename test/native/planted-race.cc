// An addon with a deliberate data race: two threads write one number without synchronisation as soon as it is loaded.
// `npm run test:tsan` checks with it that ThreadSanitizer detects races.
#include <node_api.h>

#include <array>
#include <thread>

namespace {

int number = 0;

void Race() {
  std::array<std::thread, 2> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([] {
      for (int i = 0; i < 1000; ++i) ++number;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

NAPI_MODULE_INIT() {
  static_cast<void>(env);
  Race();
  return exports;
}
