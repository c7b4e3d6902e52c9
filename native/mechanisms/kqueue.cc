// kqueue(2) and kevent(2): macOS and the BSDs; on Linux the emulation of libkqueue over epoll, if it is installed.
//
// A kqueue holds registrations ("knotes"), each identified by an ident and a filter: EVFILT_READ and EVFILT_WRITE for a
// descriptor, and others for timers, signals, files, processes. One call of kevent(2) applies changes and returns
// events. JavaScript uses the calls by their names (src/syscalls/kqueue.ts); KqueueMultiplexer is the wait of
// KqueueSelector and of the loops. Both wait in WaitForEvents, the only place that calls kevent(2).
//
// Limits: a descriptor that is readable and writable has two events. Closing a descriptor removes its registrations
// without an event.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/multiplexer.h"
#include "core/syscall.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"
#include "platform/kqueue.h"

namespace selectors {
namespace {

// Numbers, without the names of filters and flags: strace has no format for kqueue to follow.
void AppendEvents(std::string& out, const struct kevent* events, int64_t count) {
  print::AppendArray(out, std::span(events, static_cast<size_t>(count)), [&out](const struct kevent& event) {
    out.append("{ident=").append(std::to_string(event.ident)).append(", filter=");
    out.append(std::to_string(event.filter)).append(", flags=");
    print::AppendHexadecimal(out, event.flags);
    out.append(", data=").append(std::to_string(event.data)).append("}");
  });
}
void PrintChanges(std::string& out, const CallInfo& call, size_t index) {
  AppendEvents(out, call.As<const struct kevent*>(index), call.As<int>(index + 1));
}
void PrintEvents(std::string& out, const CallInfo& call, size_t index) {
  AppendEvents(out, call.As<const struct kevent*>(index), call.ok ? call.result : 0);
}

}  // namespace

template <>
inline constexpr SystemCall kSystemCall<::kqueue>{"kqueue", {}};
// The function kevent; there is also a struct kevent.
template <>
inline constexpr SystemCall kSystemCall<::kevent>{"kevent",
                                                  {In(print::Descriptor), In(PrintChanges), In(print::Decimal),
                                                   Out(PrintEvents), In(print::Decimal), In(print::Pointer)},
                                                  nullptr,
                                                  Failure::kMinusOne,
                                                  4};
template <>
inline constexpr int kLengthArgument<::kevent> = 4;
// The kernel applies the changes even if a signal interrupts the wait (kevent(2), EINTR).
template <>
struct InjectedError<::kevent> {
  static bool MakesCall(int error, Fd&, const struct kevent*&, int& changes, struct kevent*&, int& events,
                        const timespec*&) {
    events = 0;  // without room for events, kevent(2) does not wait
    return error == kInterrupted && changes > 0;
  }
};

namespace {

// A kevent is passed as six whole numbers up to 2^53: ident, filter, flags, fflags, data, udata.
constexpr size_t kKeventNumbers = 6;

struct kevent FromNumbers(const double* numbers) {
  struct kevent event {};
  EV_SET(&event, static_cast<uintptr_t>(numbers[0]), static_cast<int16_t>(numbers[1]),
         static_cast<uint16_t>(numbers[2]), static_cast<uint32_t>(numbers[3]), static_cast<intptr_t>(numbers[4]),
         // A pointer, except in NetBSD before 10: an intptr_t.
         (decltype(event.udata))(static_cast<uintptr_t>(numbers[5])));
  return event;
}

void ToNumbers(const struct kevent& event, double* numbers) {
  numbers[0] = static_cast<double>(event.ident);
  numbers[1] = static_cast<double>(event.filter);
  numbers[2] = static_cast<double>(event.flags);
  numbers[3] = static_cast<double>(event.fflags);
  numbers[4] = static_cast<double>(event.data);
  numbers[5] = static_cast<double>((uintptr_t)event.udata);
}

// Casting a double outside the range of the integer is undefined behaviour. TypeScript has checked the numbers already.
bool AreInRange(std::span<double> numbers) {
  constexpr double kMaxSafeInteger = 9007199254740991;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double value = numbers[i];
    const size_t field = i % kKeventNumbers;
    const double min = field == 1 ? INT16_MIN : field == 4 ? -kMaxSafeInteger : 0;
    const double max = field == 1 ? INT16_MAX : field == 2 ? UINT16_MAX : field == 3 ? UINT32_MAX : kMaxSafeInteger;
    if (!(value >= min && value <= max) || value != static_cast<double>(static_cast<int64_t>(value))) return false;
  }
  return true;
}

// kqueue(): returns the descriptor, close-on-exec, or a negative error.
napi_value KqueueCreate(napi_env env, napi_callback_info) {
  const Result kq = Call<::kqueue>();
  if (kq.ok()) {
    SetInheritable(static_cast<Fd>(kq.value()), false)
        .Ignore("fork does not inherit a kqueue; exec of this process is not supported");
  }
  return NewFdToJavaScript(env, kq);
}

// The only call of kevent(2). timeout: milliseconds; negative: forever.
Result WaitForEvents(Fd kq, std::span<const struct kevent> changes, std::span<struct kevent> events, double timeout) {
  const auto call = [&](double remaining) {
    timespec time{};
    if (remaining >= 0) {
      const SecondsAndNanoseconds split = SplitTimeout(remaining, 1);
      time.tv_sec = split.seconds;
      time.tv_nsec = split.nanoseconds;
    }
    errno = 0;
    const Result result =
        Call<::kevent>(kq, changes.data(), static_cast<int>(changes.size()), events.data(),
                       static_cast<int>(events.size()), static_cast<const timespec*>(remaining < 0 ? nullptr : &time));
    // Applied even if a signal interrupted the wait (kevent(2), EINTR): not passed again.
    changes = {};
    // For a filter that is registered already, libkqueue returns -1 with errno 0; BSD modifies it.
    return !result.ok() || result.value() >= 0 ? result : Result::Ok(0);
  };
  if (!events.empty()) return Wait(timeout, call);
  // Without room for events, the call applies the changes and does not wait, so it is not interrupted: kern_kevent_fp()
  // and kqueue_scan() of FreeBSD, kevent_internal() of XNU. If EINTR is reported all the same (by a fault plan), the
  // changes are applied (kevent(2), EINTR); Netty and SwiftNIO ignore it too. A change that fails has its own error.
  const Result applied = call(0);
  return applied.error() == kInterrupted ? Result::Ok(0) : applied;
}

// kevent(kq, changes, changeCount, out, maxEvents, timeout): writes events into `out`. Returns their number, or a
// negative error.
napi_value Kevent(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd kq = args.FdAt(0);
  std::span<double> changes = args.DoublesAt(1);
  changes = changes.first(args.SizeAt(2, changes.size() / kKeventNumbers) * kKeventNumbers);
  const std::span<double> out = args.DoublesAt(3);
  const size_t max_events = args.SizeAt(4, out.size() / kKeventNumbers);
  const double timeout = args.TimeoutAt(5);
  if (args.ok() && !AreInRange(changes)) args.Fail(1, "kevents of whole numbers in range");
  if (!args.ok()) return nullptr;

  const size_t change_count = changes.size() / kKeventNumbers;
  const std::unique_ptr<struct kevent[]> change_list(new struct kevent[change_count]);
  for (size_t i = 0; i < change_count; ++i) change_list[i] = FromNumbers(&changes[i * kKeventNumbers]);
  const std::unique_ptr<struct kevent[]> events(new struct kevent[max_events]);
  const Result result =
      WaitForEvents(kq, std::span(change_list.get(), change_count), std::span(events.get(), max_events), timeout);
  for (int64_t i = 0; i < result.value(); ++i)
    ToNumbers(events[static_cast<size_t>(i)], &out[static_cast<size_t>(i) * kKeventNumbers]);
  return ToJavaScript(env, result);
}

class KqueueMultiplexer final : public Multiplexer {
 public:
  Result Watch(Fd kq, std::span<const int32_t>) override {
    kq_ = kq;
    return Result::Ok(0);
  }

  // Merges the two events of a descriptor that is readable and writable, one of each filter, into one record.
  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    if (events_.size() < out.size()) events_.resize(out.size());
    const std::span<struct kevent> events = std::span(events_).first(out.size());
    const Result result = WaitForEvents(kq_, {}, events, timeout);
    if (!result.ok()) return result;
    const std::span<struct kevent> found = events.first(static_cast<size_t>(result.value()));
    std::sort(found.begin(), found.end(), [](const struct kevent& one, const struct kevent& other) {
      return std::pair(one.ident, one.udata) < std::pair(other.ident, other.udata);
    });
    size_t ready = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const int ready_for = found[i].filter == EVFILT_READ ? kReadable : kWritable;
      const bool is_same = i > 0 && found[i].ident == found[i - 1].ident && found[i].udata == found[i - 1].udata;
      if (is_same) {
        out[ready - 1].events |= ready_for;
        continue;
      }
      ReadyEvent& record = out[ready++];
      record.fd = static_cast<int32_t>(found[i].ident);
      record.generation = static_cast<int32_t>((uintptr_t)found[i].udata);
      record.events = ready_for;
    }
    return Result::Ok(static_cast<int64_t>(ready));
  }

 private:
  Fd kq_ = kNoFd;
  std::vector<struct kevent> events_;
};

}  // namespace

const MultiplexerRow kKqueue = MultiplexerRowOf<KqueueMultiplexer>("kqueue");

void RegisterKqueue(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "kqueue", KqueueCreate);
  Export(env, exports, "kevent", Kevent);
  const auto constant = [&](const char* name, int value) { exports.Set(name, Napi::Number::New(env, value)); };
  constant("EVFILT_READ", EVFILT_READ);
  constant("EVFILT_WRITE", EVFILT_WRITE);
  constant("EVFILT_TIMER", EVFILT_TIMER);
  constant("EVFILT_SIGNAL", EVFILT_SIGNAL);
  constant("EVFILT_VNODE", EVFILT_VNODE);
  constant("EVFILT_PROC", EVFILT_PROC);
  constant("EVFILT_USER", kUserFilter);
  constant("EVFILT_EXCEPT", kExceptFilter);
  constant("NOTE_OOB", static_cast<int>(kOutOfBandNote));
  constant("EV_ADD", EV_ADD);
  constant("EV_DELETE", EV_DELETE);
  constant("EV_ENABLE", EV_ENABLE);
  constant("EV_DISABLE", EV_DISABLE);
  constant("EV_ONESHOT", EV_ONESHOT);
  constant("EV_CLEAR", EV_CLEAR);
  constant("EV_DISPATCH", kDispatchFlag);
  constant("EV_RECEIPT", kReceiptFlag);
  constant("EV_EOF", EV_EOF);
  constant("EV_ERROR", EV_ERROR);
}

}  // namespace selectors
