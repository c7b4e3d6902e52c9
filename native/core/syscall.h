// The one place where a system call is made. Each one of this addon goes through Call or CallAgain.
#pragma once

#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

// Calls the operating system once. -1 (also as INVALID_SOCKET) becomes the error that it left behind.
template <typename Function, typename... Arguments>
Result Call(Function function, Arguments... arguments) {
  const auto answer = function(arguments...);
  if (answer == static_cast<decltype(answer)>(-1)) return Result::Error(LastError());
  return Result::Ok(static_cast<int64_t>(answer));
}

// The same, taken up again when a signal interrupts it (PEP 475). For calls without a timeout; waits are in
// core/wait.h.
template <typename Function, typename... Arguments>
Result CallAgain(Function function, Arguments... arguments) {
  for (;;) {
    const Result result = Call(function, arguments...);
    if (result.ok() || result.error() != kInterrupted) return result;
  }
}

}  // namespace selectors
