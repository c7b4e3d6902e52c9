// The one place where a system call is made. Each one of this addon goes through Call or CallAgain: Call<::recv>(fd,
// …). Its row (platform/system_calls.h, or beside its mechanism) says what a failure looks like, and how it is traced.
#pragma once

#include "core/result.h"
#include "core/trace.h"
#include "platform/platform.h"
#include "platform/system_calls.h"

namespace selectors {

// What a function has answered, as a Result with the error that it left behind.
template <auto Function, typename Answer>
Result ResultOf(Answer answer) {
  constexpr Failure kFailure = kRow<Function>.failure;
  bool failed = false;
  if constexpr (kFailure == Failure::kErrorNumber) {
    return answer == 0 ? Result::Ok(0) : Result::Error(answer);
  } else if constexpr (kFailure == Failure::kZero) {
    failed = !answer;
  } else if constexpr (std::is_pointer_v<Answer>) {
    failed = reinterpret_cast<intptr_t>(answer) == -1;
  } else {
    failed = answer == static_cast<Answer>(-1);
  }
  if (failed) return Result::Error(LastError());
  if constexpr (std::is_pointer_v<Answer>) {
    return Result::Ok(reinterpret_cast<intptr_t>(answer));
  } else {
    return Result::Ok(static_cast<int64_t>(answer));
  }
}

// Out of the way of those that are not recorded.
template <auto Function, typename... Arguments>
[[gnu::cold, gnu::noinline]] Result CallTraced(Arguments... arguments) {
  TracedCall traced(kRow<Function>, {AsArgument(arguments)...});
  const Result result = ResultOf<Function>(Function(arguments...));
  traced.Returned(result);
  return result;
}

// Within a signal's handler: the trace allocates memory and takes locks (signal-safety(7)).
template <auto Function, typename... Arguments>
Result CallUntraced(Arguments... arguments) {
  return ResultOf<Function>(Function(arguments...));
}

// Calls the operating system once.
template <auto Function, typename... Arguments>
Result Call(Arguments... arguments) {
  if (IsAnyoneRecording()) [[unlikely]]
    return CallTraced<Function>(arguments...);
  return CallUntraced<Function>(arguments...);
}

// The same, taken up again when a signal interrupts it (PEP 475). For calls without a timeout; waits are in
// core/wait.h.
template <auto Function, typename... Arguments>
Result CallAgain(Arguments... arguments) {
  for (;;) {
    const Result result = Call<Function>(arguments...);
    if (result.ok() || result.error() != kInterrupted) return result;
  }
}

// Of a call whose value, TRUE or an address, is no news to whoever made it.
inline Result Done(Result result) { return result.ok() ? Result::Ok(0) : result; }

}  // namespace selectors
