// An addon for Node.js that callgrind counts from the moment it is loaded: valgrind --instr-atstart=no starts Node.js,
// and executes what is not measured, in a third of the time.
#include <valgrind/callgrind.h>

// Node-API's entry of an addon (node_api.h). It exports nothing.
void* napi_register_module_v1(void* env, void* exports) {
  (void)env;
  CALLGRIND_START_INSTRUMENTATION;
  return exports;
}
