// epoll(7), Linux: the kernel keeps the interest list and a ready list. epoll_wait(2) takes events from the ready list,
// so its cost grows with the number of ready descriptors, not with the number of registered ones.
//
// JavaScript has two ways in: the system calls by their names (src/syscalls/epoll.ts), and EpollMultiplexer, the wait
// of EpollSelector and of the loops. Both wait in WaitForEvents, the only place that calls epoll_wait(2).
//
// Limit: a registration belongs to the open file description, not to the descriptor number. After close(2) it stays
// while a duplicate is open, and no call can remove it any more (epoll(7), questions and answers). Each event therefore
// carries two numbers of the caller in epoll_data: by convention the descriptor and a generation, which distinguishes
// a stale event of a former owner from an event of the present one.
#include <sys/epoll.h>

#include <algorithm>

#include "core/args.h"
#include "core/descriptor.h"
#include "core/multiplexer.h"
#include "core/syscall.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

// Events per call, in 12 KiB of the stack. If more are ready, the next calls report the others first: epoll_wait(2)
// goes round robin through the ready list.
constexpr size_t kMaxEvents = 1024;

#define NAME(constant) \
  { constant, #constant }
constexpr print::Name kOperations[] = {NAME(EPOLL_CTL_ADD), NAME(EPOLL_CTL_DEL), NAME(EPOLL_CTL_MOD)};
constexpr print::Name kCreateFlags[] = {NAME(EPOLL_CLOEXEC)};
constexpr print::Name kEvents[] = {NAME(EPOLLIN),     NAME(EPOLLPRI),     NAME(EPOLLOUT),    NAME(EPOLLERR),
                                   NAME(EPOLLHUP),    NAME(EPOLLRDNORM),  NAME(EPOLLRDBAND), NAME(EPOLLWRNORM),
                                   NAME(EPOLLWRBAND), NAME(EPOLLMSG),     NAME(EPOLLRDHUP),  NAME(EPOLLEXCLUSIVE),
                                   NAME(EPOLLWAKEUP), NAME(EPOLLONESHOT), NAME(EPOLLET)};
#undef NAME

void AppendEvent(std::string& out, const epoll_event& event) {
  out += "{events=";
  print::AppendFlags(out, kEvents, event.events);
  out.append(", data={u32=").append(std::to_string(event.data.u32)).append(", u64=");
  out.append(std::to_string(event.data.u64)).append("}}");
}
void PrintCreateFlags(std::string& out, const CallInfo& call, size_t index) {
  print::AppendFlags(out, kCreateFlags, call.As<uint32_t>(index));
}
void PrintOperation(std::string& out, const CallInfo& call, size_t index) {
  print::AppendName(out, kOperations, call.As<int>(index), "EPOLL_CTL_???");
}
// EPOLL_CTL_DEL ignores the event.
void PrintEvent(std::string& out, const CallInfo& call, size_t index) {
  if (call.As<int>(1) == EPOLL_CTL_DEL) {
    print::Pointer(out, call, index);
  } else {
    AppendEvent(out, *call.As<const epoll_event*>(index));
  }
}
void PrintEvents(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return print::Pointer(out, call, index);
  const std::span events(call.As<const epoll_event*>(index), static_cast<size_t>(call.result));
  print::AppendArray(out, events, [&out](const epoll_event& event) { AppendEvent(out, event); });
}

}  // namespace

template <>
inline constexpr SystemCall kSystemCall<::epoll_create1>{"epoll_create1", {In(PrintCreateFlags)}};
template <>
inline constexpr SystemCall kSystemCall<::epoll_ctl>{
    "epoll_ctl", {In(print::Descriptor), In(PrintOperation), In(print::Descriptor), In(PrintEvent)}};
template <>
inline constexpr SystemCall kSystemCall<::epoll_wait>{
    kEpollWaitName,
    {In(print::Descriptor), Out(PrintEvents), In(print::Decimal), In(print::Decimal)},
    nullptr,
    Failure::kMinusOne,
    3};
template <>
inline constexpr int kLengthArgument<::epoll_wait> = 2;

namespace {

// epoll_create1(): returns the descriptor, close-on-exec, or a negative error.
napi_value EpollCreate1(napi_env env, napi_callback_info) {
  return NewFdToJavaScript(env, Call<::epoll_create1>(EPOLL_CLOEXEC));
}

// epoll_ctl(epfd, operation, fd, events, low, high): returns 0 or a negative error. low and high are the halves of
// epoll_data.
napi_value EpollCtl(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd epfd = args.FdAt(0);
  const int operation = args.IntAt(1);
  const Fd fd = args.FdAt(2);
  epoll_event event{};
  event.events = static_cast<uint32_t>(args.IntAt(3));
  event.data.u64 = static_cast<uint32_t>(args.IntAt(4)) | static_cast<uint64_t>(static_cast<uint32_t>(args.IntAt(5)))
                                                              << 32;
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, Call<::epoll_ctl>(epfd, operation, fd, &event));
}

// The only call of epoll_wait(2). timeout: milliseconds; negative: forever.
Result WaitForEvents(Fd epfd, std::span<epoll_event> events, double timeout) {
  return Wait(timeout, [&](double remaining) {
    return Call<::epoll_wait>(epfd, events.data(), static_cast<int>(events.size()), CeilMilliseconds(remaining));
  });
}

// epoll_wait(epfd, out, maxEvents, timeout): writes triples [events, low, high] into `out`. Returns their number, or a
// negative error.
napi_value EpollWait(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd epfd = args.FdAt(0);
  const std::span<int32_t> out = args.IntsAt(1);
  const size_t max_events = std::min(args.SizeAt(2, out.size() / 3), kMaxEvents);
  const double timeout = args.TimeoutAt(3);
  if (!args.ok()) return nullptr;

  epoll_event events[kMaxEvents];
  const Result result = WaitForEvents(epfd, std::span(events).first(max_events), timeout);
  for (int64_t i = 0; i < result.value(); ++i) {
    int32_t* triple = &out[static_cast<size_t>(3 * i)];
    triple[0] = static_cast<int32_t>(events[i].events);
    triple[1] = static_cast<int32_t>(events[i].data.u64 & UINT32_MAX);
    triple[2] = static_cast<int32_t>(events[i].data.u64 >> 32);
  }
  return ToJavaScript(env, result);
}

class EpollMultiplexer final : public Multiplexer {
 public:
  Result Watch(Fd epfd, std::span<const int32_t>) override {
    epfd_ = epfd;
    return Result::Ok(0);
  }

  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    epoll_event events[kMaxEvents];
    const Result result = WaitForEvents(epfd_, std::span(events).first(std::min(out.size(), kMaxEvents)), timeout);
    for (size_t i = 0; static_cast<int64_t>(i) < result.value(); ++i) {
      // Any bit but EPOLLOUT makes it readable, any but EPOLLIN writable: EPOLLHUP and EPOLLERR make it both.
      const uint32_t reported = events[i].events;
      out[i].fd = static_cast<int32_t>(events[i].data.u64 & UINT32_MAX);
      out[i].generation = static_cast<int32_t>(events[i].data.u64 >> 32);
      out[i].events = ((reported & ~uint32_t{EPOLLOUT}) != 0 ? kReadable : 0) |
                      ((reported & ~uint32_t{EPOLLIN}) != 0 ? kWritable : 0);
    }
    return result;
  }

 private:
  Fd epfd_ = kNoFd;
};

}  // namespace

const MultiplexerRow kEpoll = MultiplexerRowOf<EpollMultiplexer>("epoll");

void RegisterEpoll(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "epoll_create1", EpollCreate1);
  Export(env, exports, "epoll_ctl", EpollCtl);
  Export(env, exports, "epoll_wait", EpollWait);
  const auto constant = [&](const char* name, uint32_t value) { exports.Set(name, Napi::Number::New(env, value)); };
  constant("EPOLL_CTL_ADD", EPOLL_CTL_ADD);
  constant("EPOLL_CTL_MOD", EPOLL_CTL_MOD);
  constant("EPOLL_CTL_DEL", EPOLL_CTL_DEL);
  constant("EPOLLIN", EPOLLIN);
  constant("EPOLLPRI", EPOLLPRI);
  constant("EPOLLOUT", EPOLLOUT);
  constant("EPOLLERR", EPOLLERR);
  constant("EPOLLHUP", EPOLLHUP);
  constant("EPOLLRDHUP", EPOLLRDHUP);
  constant("EPOLLET", static_cast<uint32_t>(EPOLLET));
  constant("EPOLLONESHOT", EPOLLONESHOT);
  constant("EPOLLEXCLUSIVE", EPOLLEXCLUSIVE);
  constant("EPOLLWAKEUP", EPOLLWAKEUP);
}

}  // namespace selectors
