// select(2), also on Windows: the caller passes three sets of descriptors (read, write, except), and the kernel leaves
// the ready ones in the same sets. SelectFds (platform/) makes the system call.
//
// Limits. On POSIX an fd_set is a bitmap of FD_SETSIZE (1024) bits: FD_SET with a higher descriptor number writes
// outside of it (the overflow of quickjs-ng/quickjs#1097). On Windows it is an array of FD_SETSIZE sockets of any
// number (64 by default, 514 as compiled here). The kernel scans all descriptors up to the highest in each call, so the
// cost grows with the set, not with the number of ready descriptors.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "core/args.h"
#include "core/multiplexer.h"
#include "core/wait.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

enum : int32_t { kRead = 1, kWrite = 2, kExcept = 4 };

struct InterestSet {
  std::span<int32_t> descriptors;
  int32_t bit;
  fd_set set;

  // Checks the range again: in shared memory another thread may have changed the number since FillSet.
  bool IsReady(Fd fd) { return FitsFdSet(fd, 0) && FD_ISSET(fd, &set); }
};

// Returns false if a descriptor does not fit into an fd_set.
bool FillSet(InterestSet& interest, Fd& highest) {
  FD_ZERO(&interest.set);
  size_t count = 0;
  for (const int32_t number : interest.descriptors) {
    const Fd fd = static_cast<Fd>(number);
    if (!FitsFdSet(fd, count++)) return false;
    FD_SET(fd, &interest.set);
    if (highest == kNoFd || fd > highest) highest = fd;
  }
  return true;
}

// select(read, readCount, write, writeCount, except, exceptCount, out, timeout): writes pairs [descriptor, 1 read
// | 2 write | 4 except] into `out`, which must have room for a pair per descriptor given. Returns their number, or a
// negative error.
napi_value Select(napi_env env, napi_callback_info info) {
  Args args(env, info);
  InterestSet interests[] = {{args.IntsAt(0), kRead, {}}, {args.IntsAt(2), kWrite, {}}, {args.IntsAt(4), kExcept, {}}};
  size_t total = 0;
  for (size_t i = 0; i < 3; ++i) {
    InterestSet& interest = interests[i];
    interest.descriptors = interest.descriptors.first(args.SizeAt(2 * i + 1, interest.descriptors.size()));
    total += interest.descriptors.size();
  }
  const std::span<int32_t> out = args.IntsAt(6);
  const double timeout = args.TimeoutAt(7);
  if (args.ok() && out.size() < 2 * total) args.Fail(6, "large enough for all descriptors");
  if (!args.ok()) return nullptr;

  bool fits = true;
  const Result result = Wait(timeout, [&](double remaining) {
    Fd highest = kNoFd;
    // The sets are filled before each call: an interrupted select(2) leaves them undefined.
    for (InterestSet& interest : interests) fits = fits && FillSet(interest, highest);
    if (!fits) return Result::Error(kInvalidArgument);
    return SelectFds(highest, &interests[0].set, &interests[1].set, &interests[2].set, remaining);
  });
  if (!fits) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "filedescriptor out of range in select()");
    return nullptr;
  }
  if (!result.ok()) return ToJavaScript(env, result);

  size_t pairs = 0;
  if (result.value() > 0) {
    for (InterestSet& interest : interests) {
      for (const int32_t number : interest.descriptors) {
        if (!interest.IsReady(static_cast<Fd>(number))) continue;
        out[2 * pairs] = number;
        out[2 * pairs + 1] = interest.bit;
        ++pairs;
      }
    }
  }
  return ToJavaScript(env, Result::Ok(static_cast<int64_t>(pairs)));
}

class SelectMultiplexer final : public Multiplexer {
 public:
  // Fails with EINVAL if a descriptor does not fit into an fd_set.
  Result Watch(Fd, std::span<const int32_t> interest) override {
    fd_set read;
    fd_set write;
    FD_ZERO(&read);
    FD_ZERO(&write);
    Fd highest = kNoFd;
    bool has_writers = false;
    std::vector<Fd> fds;
    fds.reserve(interest.size() / 2);
    for (size_t i = 0; i + 1 < interest.size(); i += 2) {
      const Fd fd = static_cast<Fd>(interest[i]);
      const int events = interest[i + 1];
      if (!FitsFdSet(fd, fds.size())) return Result::Error(kInvalidArgument);
      if ((events & ~POLLOUT) != 0) FD_SET(fd, &read);
      if ((events & POLLOUT) != 0) {
        FD_SET(fd, &write);
        has_writers = true;
      }
      if (highest == kNoFd || fd > highest) highest = fd;
      fds.push_back(fd);
    }
    read_ = read;
    write_ = write;
    has_writers_ = has_writers;
    highest_ = highest;
    fds_ = std::move(fds);
    return Result::Ok(0);
  }

  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    fd_set read;
    fd_set write;
    fd_set except;
    const Result result = selectors::Wait(timeout, [&](double remaining) {
      // The sets are copied before each call: an interrupted select(2) leaves them undefined.
      read = read_;
      if (!has_writers_) return SelectFds(highest_, &read, nullptr, nullptr, remaining);
      write = except = write_;
      return SelectFds(highest_, &read, &write, kFailedConnectInExcept ? &except : nullptr, remaining);
    });
    // After a signal and the end of the time, the sets still hold what was passed in.
    if (!result.ok() || result.value() == 0) return result;
    if (!has_writers_) FD_ZERO(&write);
    if (!kFailedConnectInExcept || !has_writers_) FD_ZERO(&except);
    const size_t found = kFdSetIsBitmap ? CollectBits(read, write, out) : CollectMembers(read, write, except, out);
    return Result::Ok(static_cast<int64_t>(found));
  }

 private:
  static void WriteRecord(ReadyEvent& record, Fd fd, bool is_readable, bool is_writable) {
    record.fd = static_cast<int32_t>(fd);
    record.generation = 0;
    record.events = (is_readable ? kReadable : 0) | (is_writable ? kWritable : 0);
  }

  // For a bitmap: skips 64 descriptors at a time while none of them is ready.
  static size_t CollectBits(const fd_set& read, const fd_set& write, std::span<ReadyEvent> out) {
    using Words = std::array<uint64_t, sizeof(fd_set) / sizeof(uint64_t)>;
    const auto readable = std::bit_cast<Words>(read);
    const auto writable = std::bit_cast<Words>(write);
    size_t ready = 0;
    for (size_t word = 0; word < readable.size(); ++word) {
      for (uint64_t left = readable[word] | writable[word]; left != 0 && ready < out.size(); left &= left - 1) {
        const auto bit = static_cast<size_t>(std::countr_zero(left));
        const bool is_readable = (readable[word] >> bit & 1) != 0;
        const bool is_writable = (writable[word] >> bit & 1) != 0;
        WriteRecord(out[ready++], static_cast<Fd>(word * 64 + bit), is_readable, is_writable);
      }
    }
    return ready;
  }

  // For an array of sockets (Windows). A failed connect is in the except set there.
  size_t CollectMembers(const fd_set& read, const fd_set& write, const fd_set& except,
                        std::span<ReadyEvent> out) const {
    size_t ready = 0;
    for (size_t i = 0; i < fds_.size() && ready < out.size(); ++i) {
      const bool is_readable = FD_ISSET(fds_[i], &read) != 0;
      const bool is_writable = FD_ISSET(fds_[i], &write) != 0 || FD_ISSET(fds_[i], &except) != 0;
      if (is_readable || is_writable) WriteRecord(out[ready++], fds_[i], is_readable, is_writable);
    }
    return ready;
  }

  fd_set read_{};
  fd_set write_{};
  bool has_writers_ = false;
  Fd highest_ = kNoFd;
  std::vector<Fd> fds_;
};

}  // namespace

const MultiplexerRow kSelect = MultiplexerRowOf<SelectMultiplexer>("select");

void RegisterSelect(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "select", Select);
  exports.Set("FD_SETSIZE", Napi::Number::New(env, FD_SETSIZE));
}

}  // namespace selectors
