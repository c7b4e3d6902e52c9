// poll(2), and Winsock's WSAPoll: an array of descriptors with what is asked of each goes in, and what happened is
// written beside it. No limit to the numbers, but the kernel still goes through the whole array each time.
#include <memory>

#include "core/args.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

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

  const std::unique_ptr<PollFd[]> fds(new PollFd[count]);
  for (size_t i = 0; i < count; ++i) {
    fds[i].fd = static_cast<Fd>(interest[2 * i]);
    fds[i].events = static_cast<short>(interest[2 * i + 1]);
    fds[i].revents = 0;
  }
  const Result result =
      Wait(timeout, [&](double remaining) { return PollFds(fds.get(), count, CeilMilliseconds(remaining)); });
  if (!result.ok()) return ToJavaScript(env, result);

  size_t pairs = 0;
  for (size_t i = 0; i < count && static_cast<int64_t>(pairs) < result.value(); ++i) {
    if (fds[i].revents == 0) continue;
    out[2 * pairs] = interest[2 * i];
    out[2 * pairs + 1] = static_cast<uint16_t>(fds[i].revents);
    ++pairs;
  }
  return ToJavaScript(env, Result::Ok(static_cast<int64_t>(pairs)));
}

}  // namespace

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
