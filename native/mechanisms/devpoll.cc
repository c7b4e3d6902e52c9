// /dev/poll (poll(4D); poll(7D) in Solaris): a device of Solaris and illumos. Each open of it is a set of descriptors.
// write(2) of an array of pollfds adds and removes descriptors, ioctl(2) with DP_POLL waits. The kernel keeps the set
// and remembers which descriptors may be ready, so a wait costs as much as there is ready.
//
// JavaScript uses the calls by names made of the device's and their own (src/syscalls/devpoll.ts); DevpollMultiplexer
// is the wait of DevpollSelector and of the loops. Both wait in WaitForEvents, the only place that asks for DP_POLL.
//
// Limits, with their sources in illumos' devpoll.c:
//   The events of a descriptor that is in the set already are or-ed to its former ones. To ask for fewer, remove it
//   (POLLREMOVE) and add it again; one write does both, and no wait comes in between (dpwrite, pc_lock).
//   A set watches numbers, not files. A closed descriptor stays in the set until POLLREMOVE. Meanwhile it is reported
//   as POLLNVAL, or not at all, if it was quiet when it was closed (dp_pcache_poll looks only at what may be ready);
//   and if its number is given to another file, that one is polled. write(2) accepts a closed descriptor, and says
//   nothing (dpwrite, "we can't pass this error back"). DP_POLL fails with EINVAL for as many events as RLIMIT_NOFILE
//   or more (poll(4D); illumos reduces the number). If more are ready than there is room for, the next call begins with
//   the others (pc_mapstart). A set belongs to the process that used it first: others get EACCES. poll(2) of a set
//   reports POLLERR.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/multiplexer.h"
#include "core/syscall.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"
#include "platform/devpoll.h"

namespace selectors {

// write(2), whose bytes are pollfds.
inline ssize_t WriteDevpoll(Fd devpoll, const PollFd* entries, size_t bytes) {
  return ::write(devpoll, entries, bytes);
}
// ioctl(2) with DP_POLL.
inline int PollDevpoll(Fd devpoll, PollFd* fds, size_t count, int timeout) {
  dvpoll request{};
  request.dp_fds = fds;
  request.dp_nfds = static_cast<decltype(request.dp_nfds)>(count);
  request.dp_timeout = timeout;
  return ::ioctl(devpoll, DP_POLL, &request);
}
// ioctl(2) with DP_ISPOLLED: 1 if the entry's descriptor is in the set, whose events are then in `revents`; else 0.
inline int FindInDevpoll(Fd devpoll, PollFd* entry) { return ::ioctl(devpoll, DP_ISPOLLED, entry); }

namespace {

#define NAME(constant) \
  { constant, #constant }
constexpr print::Name kPollEvents[] = {NAME(POLLIN),     NAME(POLLPRI),    NAME(POLLOUT), NAME(POLLRDNORM),
                                       NAME(POLLRDBAND), NAME(POLLWRBAND), NAME(POLLERR), NAME(POLLHUP),
                                       NAME(POLLNVAL),   NAME(POLLREMOVE)};
#undef NAME

void AppendEntry(std::string& out, const char* field, const PollFd& entry, short events) {
  out.append("{fd=").append(std::to_string(entry.fd)).append(", ").append(field).append("=");
  print::AppendFlags(out, kPollEvents, static_cast<uint16_t>(events));
  out += '}';
}
void PrintWritten(std::string& out, const CallInfo& call, size_t index) {
  const std::span entries(call.As<const PollFd*>(index), call.As<size_t>(index + 1) / sizeof(PollFd));
  print::AppendArray(out, entries, [&out](const PollFd& one) { AppendEntry(out, "events", one, one.events); });
}
// "DP_POLL, {dp_fds=[…]": the C function has no argument for the request.
void PrintPolled(std::string& out, const CallInfo& call, size_t index) {
  out += "DP_POLL, {dp_fds=";
  if (!call.ok) return print::Pointer(out, call, index);
  const std::span entries(call.As<const PollFd*>(index), static_cast<size_t>(call.result));
  print::AppendArray(out, entries, [&out](const PollFd& one) { AppendEntry(out, "revents", one, one.revents); });
}
void PrintRoom(std::string& out, const CallInfo& call, size_t index) {
  out += "dp_nfds=";
  print::Unsigned(out, call, index);
}
void PrintTimeout(std::string& out, const CallInfo& call, size_t index) {
  out += "dp_timeout=";
  print::Decimal(out, call, index);
  out += '}';
}
void PrintFound(std::string& out, const CallInfo& call, size_t index) {
  out += "DP_ISPOLLED, ";
  const auto& entry = *call.As<const PollFd*>(index);
  AppendEntry(out, "revents", entry, call.ok && call.result > 0 ? entry.revents : short{0});
}
void PrintLimitName(std::string& out, const CallInfo& call, size_t index) {
  constexpr print::Name kLimits[] = {{RLIMIT_NOFILE, "RLIMIT_NOFILE"}};
  print::AppendName(out, kLimits, call.As<int>(index), "RLIMIT_???");
}
void PrintLimit(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return print::Pointer(out, call, index);
  const auto& limit = *call.As<const rlimit*>(index);
  out.append("{rlim_cur=").append(std::to_string(limit.rlim_cur)).append(", rlim_max=");
  out.append(std::to_string(limit.rlim_max)).append("}");
}

}  // namespace

template <>
inline constexpr SystemCall kSystemCall<WriteDevpoll>{"write",
                                                      {In(print::Descriptor), In(PrintWritten), In(print::Unsigned)}};
template <>
inline constexpr SystemCall kSystemCall<PollDevpoll>{
    "ioctl",
    {In(print::Descriptor), Out(PrintPolled), In(PrintRoom), In(PrintTimeout)},
    nullptr,
    Failure::kMinusOne,
    3};
template <>
inline constexpr int kLengthArgument<PollDevpoll> = 2;
template <>
inline constexpr SystemCall kSystemCall<FindInDevpoll>{"ioctl", {In(print::Descriptor), Out(PrintFound)}};
template <>
inline constexpr SystemCall kSystemCall<::getrlimit>{"getrlimit", {In(PrintLimitName), Out(PrintLimit)}};

namespace {

// Events per call, in 8 KiB of the stack, if RLIMIT_NOFILE does not allow fewer. The next call begins with the others.
constexpr size_t kMaxReported = 1024;

// How many events one DP_POLL may ask for, at least 1.
Result MaxEvents() {
  rlimit limit{};
  const Result known = Call<::getrlimit>(RLIMIT_NOFILE, &limit);
  if (!known.ok()) return known;
  const auto most = static_cast<uint64_t>(std::max<rlim_t>(limit.rlim_cur, 2)) - 1;
  return Result::Ok(static_cast<int64_t>(std::min<uint64_t>(most, kMaxReported)));
}

// devpollOpen(): returns a set's descriptor, close-on-exec, or a negative error.
napi_value DevpollOpen(napi_env env, napi_callback_info) {
  return NewFdToJavaScript(env, CallRetry<::open>("/dev/poll", O_RDWR | O_CLOEXEC, mode_t{0}));
}

// devpollWrite(devpoll, pairs, count): writes `count` pairs [descriptor, events]. Returns 0 or a negative error.
napi_value DevpollWrite(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd devpoll = args.FdAt(0);
  const std::span<int32_t> pairs = args.IntsAt(1);
  const size_t count = args.SizeAt(2, pairs.size() / 2);
  if (!args.ok()) return nullptr;

  const std::unique_ptr<PollFd[]> entries(new PollFd[count]);
  for (size_t i = 0; i < count; ++i)
    entries[i] = {static_cast<Fd>(pairs[2 * i]), static_cast<short>(pairs[2 * i + 1]), 0};
  const Result written =
      CallRetry<WriteDevpoll>(devpoll, static_cast<const PollFd*>(entries.get()), count * sizeof(PollFd));
  return ToJavaScript(env, StatusOf(written));
}

// The only DP_POLL. timeout: milliseconds; negative: forever.
Result WaitForEvents(Fd devpoll, std::span<PollFd> events, double timeout) {
  return Wait(timeout, [&](double remaining) {
    return Call<PollDevpoll>(devpoll, events.data(), events.size(), CeilMilliseconds(remaining));
  });
}

// devpollPoll(devpoll, out, maxEvents, timeout): writes pairs [descriptor, revents] into `out`. Returns their number,
// or a negative error.
napi_value DevpollPoll(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd devpoll = args.FdAt(0);
  const std::span<int32_t> out = args.IntsAt(1);
  const size_t max_events = args.SizeAt(2, out.size() / 2);
  const double timeout = args.TimeoutAt(3);
  if (!args.ok()) return nullptr;

  const std::unique_ptr<PollFd[]> events(new PollFd[max_events]);
  const Result result = WaitForEvents(devpoll, std::span(events.get(), max_events), timeout);
  for (size_t i = 0; static_cast<int64_t>(i) < result.value(); ++i) {
    out[2 * i] = static_cast<int32_t>(events[i].fd);
    out[2 * i + 1] = static_cast<uint16_t>(events[i].revents);
  }
  return ToJavaScript(env, result);
}

// devpollIsPolled(devpoll, fd, out): 1 if the set has the descriptor, whose events are then in `out`; else 0; or a
// negative error.
napi_value DevpollIsPolled(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd devpoll = args.FdAt(0);
  PollFd entry{args.FdAt(1), 0, 0};
  const std::span<int32_t> out = args.IntsAt(2);
  if (args.ok() && out.empty()) args.Fail(2, "not empty");
  if (!args.ok()) return nullptr;
  const Result found = CallRetry<FindInDevpoll>(devpoll, &entry);
  if (found.ok() && found.value() > 0) out[0] = static_cast<uint16_t>(entry.revents);
  return ToJavaScript(env, found);
}

// devpollMaxEvents(): how many events one call may ask for, or a negative error.
napi_value DevpollMaxEvents(napi_env env, napi_callback_info) { return ToJavaScript(env, MaxEvents()); }

class DevpollMultiplexer final : public Multiplexer {
 public:
  Result Watch(Fd devpoll, std::span<const int32_t>) override {
    const Result max = MaxEvents();
    if (!max.ok()) return max;
    max_events_ = static_cast<size_t>(max.value());
    devpoll_ = devpoll;
    return Result::Ok(0);
  }

  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    PollFd events[kMaxReported];
    const Result result = WaitForEvents(devpoll_, std::span(events).first(std::min(out.size(), max_events_)), timeout);
    for (size_t i = 0; static_cast<int64_t>(i) < result.value(); ++i) {
      // POLLHUP, POLLERR and POLLNVAL are reported as readable and writable.
      const int revents = static_cast<uint16_t>(events[i].revents);
      out[i].fd = static_cast<int32_t>(events[i].fd);
      out[i].generation = 0;
      out[i].events = ((revents & ~POLLOUT) != 0 ? kReadable : 0) | ((revents & ~POLLIN) != 0 ? kWritable : 0);
    }
    return result;
  }

 private:
  Fd devpoll_ = kNoFd;
  size_t max_events_ = 1;
};

}  // namespace

const MultiplexerRow kDevpoll = MultiplexerRowOf<DevpollMultiplexer>("devpoll");

void RegisterDevpoll(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "devpollOpen", DevpollOpen);
  Export(env, exports, "devpollWrite", DevpollWrite);
  Export(env, exports, "devpollPoll", DevpollPoll);
  Export(env, exports, "devpollIsPolled", DevpollIsPolled);
  Export(env, exports, "devpollMaxEvents", DevpollMaxEvents);
  exports.Set("POLLREMOVE", Napi::Number::New(env, POLLREMOVE));
  exports.Set("DEVPOLL_IS_OF_SYSTEM", Napi::Boolean::New(env, kDevpollIsOfSystem));
}

}  // namespace selectors
