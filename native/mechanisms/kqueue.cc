// kqueue(2) and kevent(2) of macOS and the BSDs; on Linux, where libkqueue is installed, its emulation over epoll.
//
// A kqueue holds filters ("knotes"), each named by an identifier and a kind: one for reading a descriptor, another for
// writing it, and others for timers, signals, files, processes. One call changes filters and takes events. Closing a
// descriptor drops its filters.
#include <sys/types.h>
// After sys/types.h.
#include <sys/event.h>
#include <sys/time.h>

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

namespace selectors {
namespace {

// ident, filter, flags, fflags, data, udata of each, as they are: strace knows no kqueue.
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
// The function: there is a struct of its name as well.
template <>
inline constexpr SystemCall kSystemCall<::kevent>{"kevent",
                                                  {In(print::Descriptor), In(PrintChanges), In(print::Decimal),
                                                   Out(PrintEvents), In(print::Decimal), In(print::Pointer)}};
template <>
inline constexpr int kLengthArgument<::kevent> = 4;
// The changes are made also where a signal ends the wait (kevent(2), EINTR).
template <>
struct InjectedError<::kevent> {
  static bool MakesCall(int error, Fd&, const struct kevent*&, int& changes, struct kevent*&, int& events,
                        const timespec*&) {
    events = 0;  // without room for events the call does not wait
    return error == kInterrupted && changes > 0;
  }
};

namespace {

// A kevent crosses as six numbers: ident, filter, flags, fflags, data, udata. Whole numbers to 2^53.
constexpr size_t kNumbers = 6;

struct kevent FromNumbers(const double* numbers) {
  struct kevent event {};
  EV_SET(&event, static_cast<uintptr_t>(numbers[0]), static_cast<int16_t>(numbers[1]),
         static_cast<uint16_t>(numbers[2]), static_cast<uint32_t>(numbers[3]), static_cast<intptr_t>(numbers[4]),
         reinterpret_cast<decltype(event.udata)>(static_cast<uintptr_t>(numbers[5])));
  return event;
}

void ToNumbers(const struct kevent& event, double* numbers) {
  numbers[0] = static_cast<double>(event.ident);
  numbers[1] = static_cast<double>(event.filter);
  numbers[2] = static_cast<double>(event.flags);
  numbers[3] = static_cast<double>(event.fflags);
  numbers[4] = static_cast<double>(event.data);
  numbers[5] = static_cast<double>(reinterpret_cast<uintptr_t>(event.udata));
}

// A double outside of its integer's range may not be cast. TypeScript gives whole numbers; nothing else gets past here.
bool AreWhole(std::span<double> numbers) {
  constexpr double kMost = 9007199254740991;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double value = numbers[i];
    const size_t field = i % kNumbers;
    const double least = field == 1 ? INT16_MIN : field == 4 ? -kMost : 0;
    const double most = field == 1 ? INT16_MAX : field == 2 ? UINT16_MAX : field == 3 ? UINT32_MAX : kMost;
    if (!(value >= least && value <= most) || value != static_cast<double>(static_cast<int64_t>(value))) return false;
  }
  return true;
}

// kqueue(): the descriptor, close-on-exec, or a negative error.
napi_value KqueueCreate(napi_env env, napi_callback_info) {
  const Result kq = Call<::kqueue>();
  if (kq.ok()) {
    SetInheritable(static_cast<Fd>(kq.value()), false)
        .Ignore("a kqueue is not inherited by fork, and exec of us is not a case");
  }
  return NewFdToJavaScript(env, kq);
}

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
    // The changes are made even where a signal ends the wait (kevent(2), EINTR): once is enough.
    changes = {};
    // libkqueue says -1 with no error for a filter that is there already; BSD takes it as a change.
    return !result.ok() || result.value() >= 0 ? result : Result::Ok(0);
  };
  // No room for events: the call makes its changes and returns at once.
  return events.empty() ? call(0) : Wait(timeout, call);
}

// kevent(kq, changes, changeCount, out, maxEvents, timeout): how many events it put into `out`, or a negative error.
napi_value Kevent(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd kq = args.FdAt(0);
  std::span<double> changes = args.DoublesAt(1);
  changes = changes.first(args.SizeAt(2, changes.size() / kNumbers) * kNumbers);
  const std::span<double> out = args.DoublesAt(3);
  const size_t most = args.SizeAt(4, out.size() / kNumbers);
  const double timeout = args.TimeoutAt(5);
  if (args.ok() && !AreWhole(changes)) args.Fail(1, "kevents of whole numbers in range");
  if (!args.ok()) return nullptr;

  const size_t change_count = changes.size() / kNumbers;
  const std::unique_ptr<struct kevent[]> wanted(new struct kevent[change_count]);
  for (size_t i = 0; i < change_count; ++i) wanted[i] = FromNumbers(&changes[i * kNumbers]);
  const std::unique_ptr<struct kevent[]> events(new struct kevent[most]);
  const Result result =
      WaitForEvents(kq, std::span(wanted.get(), change_count), std::span(events.get(), most), timeout);
  for (int64_t i = 0; i < result.value(); ++i)
    ToNumbers(events[static_cast<size_t>(i)], &out[static_cast<size_t>(i) * kNumbers]);
  return ToJavaScript(env, result);
}

class KqueueMultiplexer final : public Multiplexer {
 public:
  Result Watch(Fd set, std::span<const int32_t>) override {
    set_ = set;
    return Result::Ok(0);
  }

  // A descriptor that can be read and written has two events, one of each filter: they make one record.
  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    if (events_.size() < out.size()) events_.resize(out.size());
    const std::span<struct kevent> events = std::span(events_).first(out.size());
    const Result result = WaitForEvents(set_, {}, events, timeout);
    if (!result.ok()) return result;
    const std::span<struct kevent> found = events.first(static_cast<size_t>(result.value()));
    std::sort(found.begin(), found.end(), [](const struct kevent& one, const struct kevent& other) {
      return std::pair(one.ident, one.udata) < std::pair(other.ident, other.udata);
    });
    size_t ready = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const int happened = found[i].filter == EVFILT_READ ? kReadable : kWritable;
      const bool is_same = i > 0 && found[i].ident == found[i - 1].ident && found[i].udata == found[i - 1].udata;
      if (is_same) {
        out[ready - 1].events |= happened;
        continue;
      }
      ReadyEvent& record = out[ready++];
      record.fd = static_cast<int32_t>(found[i].ident);
      record.generation = static_cast<int32_t>(reinterpret_cast<uintptr_t>(found[i].udata));
      record.events = happened;
    }
    return Result::Ok(static_cast<int64_t>(ready));
  }

 private:
  Fd set_ = kNoFd;
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
  constant("EVFILT_USER", EVFILT_USER);
  constant("EV_ADD", EV_ADD);
  constant("EV_DELETE", EV_DELETE);
  constant("EV_ENABLE", EV_ENABLE);
  constant("EV_DISABLE", EV_DISABLE);
  constant("EV_ONESHOT", EV_ONESHOT);
  constant("EV_CLEAR", EV_CLEAR);
  constant("EV_DISPATCH", EV_DISPATCH);
  constant("EV_RECEIPT", EV_RECEIPT);
  constant("EV_EOF", EV_EOF);
  constant("EV_ERROR", EV_ERROR);
}

}  // namespace selectors
