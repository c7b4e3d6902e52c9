// poll(2), and WSAPoll on Windows: the caller passes an array of descriptors with the events it is interested in, and
// the kernel writes what happened beside them. PollFds (platform/) makes the system call; WaitForFds is its only caller
// here.
//
// Limit: the kernel scans the whole array in each call, so the cost grows with the number of registered descriptors.
// Unlike select(2), poll(2) takes any descriptor number.
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

// pairs: [descriptor, events] of each descriptor.
void FillFds(std::span<const int32_t> pairs, std::span<PollFd> fds) {
  for (size_t i = 0; i < fds.size(); ++i)
    fds[i] = {static_cast<Fd>(pairs[2 * i]), static_cast<short>(pairs[2 * i + 1]), 0};
}

// poll(interest, count, out, timeout): `interest` holds `count` pairs [descriptor, events]. Writes pairs [descriptor,
// revents] of the ready descriptors into `out`, which must have room for `count` pairs. Returns their number, or a
// negative error.
napi_value Poll(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<int32_t> interest = args.IntsAt(0);
  const size_t count = args.SizeAt(1, interest.size() / 2);
  const std::span<int32_t> out = args.IntsAt(2);
  const double timeout = args.TimeoutAt(3);
  if (args.ok() && out.size() < 2 * count) args.Fail(2, "large enough for all descriptors");
  if (!args.ok()) return nullptr;

  const std::unique_ptr<PollFd[]> array(new PollFd[count]);
  const std::span<PollFd> fds(array.get(), count);
  FillFds(interest, fds);
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
    FillFds(interest, fds_);
    return Result::Ok(0);
  }

  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    const Result result = WaitForFds(fds_, timeout);
    if (!result.ok()) return result;
    const size_t max_ready = std::min(static_cast<size_t>(result.value()), out.size());
    size_t ready = 0;
    for (size_t i = 0; ready < max_ready && i < fds_.size(); ++i) {
      const int revents = static_cast<uint16_t>(fds_[i].revents);
      if (revents == 0) continue;
      // POLLHUP, POLLERR and POLLNVAL are reported as readable and writable.
      const int events = ((revents & ~POLLOUT) != 0 ? kReadable : 0) | ((revents & ~POLLIN) != 0 ? kWritable : 0);
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
