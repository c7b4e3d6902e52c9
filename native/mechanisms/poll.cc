// poll(2), and Winsock's WSAPoll: an array of descriptors with what is asked of each goes in, and what happened is
// written beside it. No limit to the numbers, but the kernel still goes through the whole array each time.
#include <memory>

#include "core/args.h"
#include "core/multiplexer.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

struct PollArray {
  std::unique_ptr<PollFd[]> fds;
  Result result;
};

// `interest`: pairs [descriptor, events].
PollArray WaitForPairs(std::span<const int32_t> interest, double timeout) {
  const size_t count = interest.size() / 2;
  std::unique_ptr<PollFd[]> fds(new PollFd[count]);
  for (size_t i = 0; i < count; ++i) {
    fds[i].fd = static_cast<Fd>(interest[2 * i]);
    fds[i].events = static_cast<short>(interest[2 * i + 1]);
    fds[i].revents = 0;
  }
  const Result result =
      Wait(timeout, [&](double remaining) { return PollFds(fds.get(), count, CeilMilliseconds(remaining)); });
  return {std::move(fds), result};
}

// poll(interest, count, out, timeout): `interest` holds `count` pairs [descriptor, events]. How many pairs [descriptor,
// revents] it put into `out`, which needs room for as many, or a negative error.
napi_value Poll(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<int32_t> interest = args.IntsAt(0);
  const size_t count = args.SizeAt(1, interest.size() / 2);
  const std::span<int32_t> out = args.IntsAt(2);
  const double timeout = args.TimeoutAt(3);
  if (args.ok() && out.size() < 2 * count) args.Fail(2, "large enough for all descriptors");
  if (!args.ok()) return nullptr;

  const auto [fds, result] = WaitForPairs(interest.first(2 * count), timeout);
  if (!result.ok()) return ToJavaScript(env, result);

  size_t pairs = 0;
  for (size_t i = 0; i < count && static_cast<int64_t>(pairs) < result.value(); ++i) {
    if (fds[i].revents == 0) continue;
    out[2 * pairs] = static_cast<int32_t>(fds[i].fd);
    out[2 * pairs + 1] = static_cast<uint16_t>(fds[i].revents);
    ++pairs;
  }
  return ToJavaScript(env, Result::Ok(static_cast<int64_t>(pairs)));
}

Result WaitInPoll(const WaitRequest& request, std::span<Ready> out) {
  const auto [fds, result] = WaitForPairs(request.interest, request.timeout);
  if (!result.ok()) return result;
  size_t ready = 0;
  for (size_t i = 0; i < request.interest.size() / 2 && ready < out.size(); ++i) {
    const int happened = static_cast<uint16_t>(fds[i].revents);
    if (happened == 0) continue;
    const int events = ((happened & ~POLLOUT) != 0 ? kReadable : 0) | ((happened & ~POLLIN) != 0 ? kWritable : 0);
    out[ready++] = {static_cast<int32_t>(fds[i].fd), 0, events, 0, 0};
  }
  return Result::Ok(static_cast<int64_t>(ready));
}

}  // namespace

const Multiplexer kPoll{"poll", WaitInPoll};

void RegisterPoll(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "poll", Poll);
  const auto constant = [&](const char* name, int value) { exports.Set(name, Napi::Number::New(env, value)); };
  constant("POLLIN", POLLIN);
  constant("POLLPRI", POLLPRI);
  constant("POLLOUT", POLLOUT);
  constant("POLLERR", POLLERR);
  constant("POLLHUP", POLLHUP);
  constant("POLLNVAL", POLLNVAL);
  constant("POLLRDHUP", kPollReadHangUp);
  constant("POLLRDNORM", POLLRDNORM);
}

}  // namespace selectors
