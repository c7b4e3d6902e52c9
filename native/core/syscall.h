// The one place where a system call is made. Each one of this addon goes through Call or CallRetry: Call<::recv>(fd,
// …). Its row (platform/system_calls.h, or beside its mechanism) says what a failure looks like, and how it is traced.
#pragma once

#include "core/faults.h"
#include "core/result.h"
#include "core/trace.h"
#include "platform/platform.h"
#include "platform/system_calls.h"

namespace selectors {

// What a function has answered, as a Result with the error that it left behind.
template <auto Function, typename Answer>
Result ResultOf(Answer answer) {
  constexpr Failure kFailure = kSystemCall<Function>.failure;
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

// A call as a fault plan wants it. An error that is injected is the answer instead of the call; where the call has to
// be made all the same (MakesCall), instead of its success.
template <auto Function, typename... Arguments>
Result CallWithFault(const Fault& fault, Arguments... arguments) {
  if (fault.kind == Fault::Kind::kError) {
    if (!InjectedError<Function>::MakesCall(fault.error(), arguments...)) return Result::Error(fault.error());
    const Result result = ResultOf<Function>(Function(arguments...));
    return result.ok() || result.error() == kInProgress ? Result::Error(fault.error()) : result;
  }
  ShortenedCall<Function> shortened;
  if (fault.kind == Fault::Kind::kShort) shortened.Shorten(static_cast<uint64_t>(fault.value), arguments...);
  if (fault.kind == Fault::Kind::kSlow) SleepMilliseconds(fault.value);
  return ResultOf<Function>(Function(arguments...));
}

// Out of the way of those that are neither recorded nor disturbed.
template <auto Function, typename... Arguments>
[[gnu::cold, gnu::noinline]] Result CallInstrumented(Arguments... arguments) {
  TracedCall traced(kSystemCall<Function>, {AsArgument(arguments)...});
  const Fault fault = TakeFault(kSystemCall<Function>.name);
  const Result result = CallWithFault<Function>(fault, arguments...);
  traced.Returned(result, fault.kind);
  return result;
}

// Within a signal's handler: the trace and fault plans allocate memory and take locks (signal-safety(7)).
template <auto Function, typename... Arguments>
Result CallUntraced(Arguments... arguments) {
  return ResultOf<Function>(Function(arguments...));
}

// Calls the operating system once.
template <auto Function, typename... Arguments>
Result Call(Arguments... arguments) {
  if (IsInstrumented()) [[unlikely]]
    return CallInstrumented<Function>(arguments...);
  return CallUntraced<Function>(arguments...);
}

// The same, taken up again when a signal interrupts it (PEP 475). For calls without a timeout; waits are in
// core/wait.h.
template <auto Function, typename... Arguments>
Result CallRetry(Arguments... arguments) {
  for (;;) {
    const Result result = Call<Function>(arguments...);
    if (result.ok() || result.error() != kInterrupted) return result;
  }
}

// Of a call whose value, TRUE or an address, is no news to whoever made it.
inline Result StatusOf(Result result) { return result.ok() ? Result::Ok(0) : result; }

}  // namespace selectors
