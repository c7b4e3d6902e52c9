// Where every system call of this addon is made, and recorded: Call<::recv>(fd, …), or CallRetry, which retries on
// EINTR.
//
// kSystemCall<::recv> describes the function: how it reports failure, and how its arguments are printed. It stands in
// platform/system_calls.h, or beside the only mechanism that uses it. core/trace.h records, core/faults.h injects.
#pragma once

#include "core/faults.h"
#include "core/interrupt.h"
#include "core/result.h"
#include "core/trace.h"
#include "platform/platform.h"
#include "platform/system_calls.h"

namespace selectors {

// A function's return value as a Result; after a failure with errno or WSAGetLastError.
template <auto Function, typename Returned>
Result ResultOf(Returned returned) {
  constexpr Failure kFailure = kSystemCall<Function>.failure;
  bool failed = false;
  if constexpr (kFailure == Failure::kErrorNumber) {
    return returned == 0 ? Result::Ok(0) : Result::Error(returned);
  } else if constexpr (kFailure == Failure::kZero) {
    failed = !returned;
  } else if constexpr (std::is_pointer_v<Returned>) {
    failed = reinterpret_cast<intptr_t>(returned) == -1;
  } else {
    failed = returned == static_cast<Returned>(-1);
  }
  if (failed) return Result::Error(LastError());
  if constexpr (std::is_pointer_v<Returned>) {
    return Result::Ok(reinterpret_cast<intptr_t>(returned));
  } else {
    return Result::Ok(static_cast<int64_t>(returned));
  }
}

// Makes the call with an injected fault. An injected error replaces the call; for a function with MakesCall the call is
// made, and the error replaces its success.
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

// The slow path of Call, out of line: with tracing and fault injection.
template <auto Function, typename... Arguments>
[[gnu::cold, gnu::noinline]] Result CallInstrumented(Arguments... arguments) {
  TracedCall traced(kSystemCall<Function>, {AsArgument(arguments)...});
  const Fault fault = TakeFault(kSystemCall<Function>.name);
  const Result result = CallWithFault<Function>(fault, arguments...);
  traced.Returned(result, fault.kind);
  return result;
}

// Neither traced nor disturbed by a fault plan. For signal handlers: tracing and fault plans allocate memory and take
// locks (signal-safety(7)).
template <auto Function, typename... Arguments>
Result CallUntraced(Arguments... arguments) {
  return ResultOf<Function>(Function(arguments...));
}

// Makes one system call.
template <auto Function, typename... Arguments>
Result Call(Arguments... arguments) {
  if (IsInstrumented()) [[unlikely]]
    return CallInstrumented<Function>(arguments...);
  return CallUntraced<Function>(arguments...);
}

// The same, retried when a signal interrupts it (PEP 475), unless another thread has requested that (core/interrupt.h).
// For calls without a timeout; waits are in core/wait.h.
template <auto Function, typename... Arguments>
Result CallRetry(Arguments... arguments) {
  for (;;) {
    const Result result = Call<Function>(arguments...);
    if (result.ok() || result.error() != kInterrupted || TakeInterrupt()) return result;
  }
}

// The result with 0 as its value on success: for calls that return TRUE or an address.
inline Result StatusOf(Result result) { return result.ok() ? Result::Ok(0) : result; }

}  // namespace selectors
