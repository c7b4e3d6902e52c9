// poll(2), and Winsock's WSAPoll: an array of descriptors with what is asked of each goes in, and what happened is
// written beside it. No limit to the numbers, but the kernel still goes through the whole array each time.
#include <algorithm>
#include <memory>
#include <vector>

#include "core/args.h"
#include "core/multiplexer.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

Result WaitForFds(std::span<PollFd> fds, double timeout) {
  return Wait(timeout, [&](double remaining) { return PollFds(fds.data(), fds.size(), CeilMilliseconds(remaining)); });
}

// Of pairs [descriptor, events].
void Fill(std::span<const int32_t> pairs, std::span<PollFd> fds) {
  for (size_t i = 0; i < fds.size(); ++i)
    fds[i] = {static_cast<Fd>(pairs[2 * i]), static_cast<short>(pairs[2 * i + 1]), 0};
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

  const std::unique_ptr<PollFd[]> memory(new PollFd[count]);
  const std::span<PollFd> fds(memory.get(), count);
  Fill(interest, fds);
  const Result result = WaitForFds(fds, timeout);
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

class PollMultiplexer final : public Multiplexer {
 public:
  Result Watch(Fd, std::span<const int32_t> interest) override {
    fds_.resize(interest.size() / 2);
    Fill(interest, fds_);
    return Result::Ok(0);
  }

  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    const Result result = WaitForFds(fds_, timeout);
    if (!result.ok()) return result;
    const auto found = static_cast<size_t>(result.value());
    const size_t most = std::min(found, out.size());
    size_t ready = 0;
    for (size_t i = 0; ready < most && i < fds_.size(); ++i) {
      const int happened = static_cast<uint16_t>(fds_[i].revents);
      if (happened == 0) continue;
      const int events = ((happened & ~POLLOUT) != 0 ? kReadable : 0) | ((happened & ~POLLIN) != 0 ? kWritable : 0);
      ReadyEvent& record = out[ready++];
      record.fd = static_cast<int32_t>(fds_[i].fd);
      record.generation = 0;
      record.events = events;
    }
    return Result::Ok(static_cast<int64_t>(ready));
  }

 private:
  std::vector<PollFd> fds_;
};

}  // namespace

const MultiplexerRow kPoll = MultiplexerRowOf<PollMultiplexer>("poll");

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
