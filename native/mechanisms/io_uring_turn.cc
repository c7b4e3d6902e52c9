// A turn of a loop on a ring: turn() submits, waits, and writes a record for each completion.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/wait.h"
#include "mechanisms/io_uring.h"
#include "mechanisms/io_uring_records.h"

namespace selectors::uring {
namespace {

// To copy 4 KiB costs 2 % of receiving them.
constexpr size_t kMaxPacked = 4096;
// Chunks of one stream that one turn tells, however small they are.
constexpr uint32_t kMaxChunks = 8;
constexpr uint32_t kOfSeveral = 1U << 31;

}  // namespace

// watchWake(fd): a turn ends when this descriptor becomes readable, and says so.
Napi::Value IoUring::WatchWake(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  wake_ = fd;
  return {info.Env(), ToJavaScript(info.Env(), WatchWakeAgain())};
}

Result IoUring::WatchWakeAgain() {
  io_uring_sqe* sqe = nullptr;
  const Result result = PrepareTagged(IORING_OP_POLL_ADD, wake_, UserData(Tag::kWake, 0, 0), &sqe);
  if (result.ok()) {
    sqe->op_flags = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
  }
  return result;
}

// Before a wait: a wake-up that is not watched for would never come.
void IoUring::RestoreWake() {
  if (wake_is_lost_) wake_is_lost_ = !WatchWakeAgain().ok();
}

// In the order of the kernel: what waited for a turn came first.
bool IoUring::NextForTurn(io_uring_cqe* cqe) {
  if (for_turn_.empty()) return NextCompletion(cqe);
  *cqe = for_turn_.front();
  for_turn_.pop_front();
  return true;
}

// May this receive be told in this turn, as record `count`? The first of its stream always.
inline bool IoUring::HasShare(const io_uring_cqe& cqe, std::span<Record> out, size_t count) {
  const size_t fd = LowOf(cqe.user_data);
  if (fd >= told_.size()) {
    // A number that is no descriptor's receives nothing (EBADF), and may be as large as JavaScript likes.
    if (cqe.res <= 0) return true;
    told_.resize(fd + 1);
  }
  Told& told = told_[fd];
  if (told.turn == turn_) return HasShareLeft(cqe, out, count, &told);
  told = {turn_, static_cast<uint32_t>(count)};
  return true;
}

// turn(timeout, out, most, pool, poolOffset): submits, waits, and puts what has been done into `out`. How many records,
// `most` at the most, or a negative error.
Napi::Value IoUring::Turn(const Napi::CallbackInfo& info) {
  Args args(info);
  const double timeout = args.TimeoutAt(0);
  std::span<Record> out = RecordsIn<Record>(args.IntsAt(1));
  out = out.first(args.SizeAt(2, out.size()));
  const std::span<uint8_t> pool = args.BytesAt(3);
  const size_t pool_used = args.SizeAt(4, pool.size());
  max_share_ = static_cast<uint32_t>(args.SizeAt(5, UINT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  if (!ring_.is_open() || buffers_ == nullptr) return Napi::Number::New(info.Env(), -kBadDescriptor);

  for (const uint32_t buffer : shown_) buffers_->GiveBack(buffer);
  shown_.clear();
  std::span<uint8_t> room = pool.subspan(pool_used);
  size_t count = 0;
  ++turn_;
  shares_.clear();
  RestoreWake();
  if (!deferred_.empty()) TellDeferred(out, &count, pool, &room);
  const double deadline = timeout > 0 ? MonotonicMilliseconds() + timeout : 0;
  for (double remaining = timeout; !out.empty();) {
    // What flush() has met on its way is enough for a turn: no call, where there is nothing to submit either. But
    // inside Node's loop, which does not wait: the notice of what has come since was taken away before this turn.
    const bool has_some = count > 0 || !deferred_.empty() || !for_turn_.empty() || !backlog_.empty() ||
                          !done_.empty() || woken_ || ring_.completions() > 0;
    if (!has_some || timeout == 0 || ring_.unsubmitted() > 0) {
      const Result entered = ring_.Enter(has_some ? 0 : 1, has_some ? 0 : remaining);
      // EBUSY, EAGAIN, ENOMEM: the completions are taken now, and the rest is submitted by the next turn.
      if (!entered.ok() && entered.error() != EBUSY && entered.error() != kWouldBlock && entered.error() != kNoMemory &&
          entered.error() != kInterrupted)
        return {info.Env(), ToJavaScript(info.Env(), entered)};
    }
    io_uring_cqe cqe{};
    while (count < out.size() && NextForTurn(&cqe)) {
      if (TagOf(cqe.user_data) == Tag::kReceive && !HasShare(cqe, out, count)) {
        deferred_.push_back(cqe);
      } else if (Tell(cqe, &out[count], pool, &room)) {
        ++count;
      }
    }
    // A cancel's own completion is nothing to tell.
    if (count > 0 || !done_.empty() || woken_ || timeout == 0 || ring_.was_refused()) break;
    if (timeout > 0) {
      remaining = deadline - MonotonicMilliseconds();
      if (remaining <= 0) break;
    }
  }
  // What else there is to be asked for.
  const int32_t more = (done_.empty() ? 0 : kCallers) | (woken_ ? kWoken : 0) | (deferred_.empty() ? 0 : kMore) |
                       (ring_.was_refused() ? kRefused : 0);
  if (more != 0 && count < out.size()) out[count++] = {-1, 0, more, 0, 0};
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

// A further one of the same turn: up to the stream's share. What follows one that may not be told, may not either.
bool IoUring::HasShareLeft(const io_uring_cqe& cqe, std::span<Record> out, size_t count, Told* told) {
  const auto bytes_of = [](int32_t result) { return static_cast<uint32_t>(std::max(result, 0)); };
  const bool is_of_several = (told->at & kOfSeveral) != 0;
  const size_t at = told->at & ~kOfSeveral;
  size_t last = is_of_several ? out.size() : at;
  if (is_of_several && at < shares_.size()) last = shares_[at].record;
  // Of another connection that has had this number; or of the turn before the numbers of turns began again.
  if (last >= out.size() || out[last].generation != static_cast<int32_t>(GenerationOf(cqe.user_data))) {
    *told = {turn_, static_cast<uint32_t>(count)};
    return true;
  }
  if (!is_of_several) {
    told->at = kOfSeveral | static_cast<uint32_t>(shares_.size());
    shares_.push_back({bytes_of(out[last].result), 1, last});
  }
  Share& share = shares_[told->at & ~kOfSeveral];
  const uint32_t bytes = bytes_of(cqe.res);
  if (share.chunks < kMaxChunks && bytes <= max_share_ && share.bytes <= max_share_ - bytes) {
    share = {share.bytes + bytes, share.chunks + 1, count};
    return true;
  }
  share.chunks = kMaxChunks;
  out[share.record].what |= kSurplus;
  return false;
}

// What was deferred, before anything newer.
void IoUring::TellDeferred(std::span<Record> out, size_t* count, std::span<uint8_t> pool, std::span<uint8_t>* room) {
  std::deque<io_uring_cqe> rest;
  for (const io_uring_cqe& cqe : deferred_) {
    if (*count < out.size() && HasShare(cqe, out, *count)) {
      if (Tell(cqe, &out[*count], pool, room)) ++*count;
    } else {
      rest.push_back(cqe);
    }
  }
  deferred_ = std::move(rest);
}

// One completion as a record; false: it is nothing for the loop.
bool IoUring::Tell(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* room) {
  const int32_t last = (cqe.flags & IORING_CQE_F_MORE) == 0 ? kLast : 0;
  *record = {static_cast<int32_t>(LowOf(cqe.user_data)), static_cast<int32_t>(GenerationOf(cqe.user_data)), last,
             cqe.res, 0};
  switch (TagOf(cqe.user_data)) {
    case Tag::kReceive:
      if (last != 0) --outstanding_;
      record->what |= kReceived;
      TakeBuffer(cqe, record, pool, room);
      return true;
    case Tag::kAccept:
      if (last != 0) --outstanding_;
      record->what |= kAccepted;
      if (cqe.res >= 0) UnclaimedFds::Add(Env(), cqe.res);
      return true;
    case Tag::kOperation:
      Take(cqe);
      return TellOfStream(record);
    case Tag::kWake:
    case Tag::kIgnored:
    case Tag::kFlush:
      Take(cqe);
      return false;
  }
  return false;
}

// An operation that is over: is it a stream's?
bool IoUring::TellOfStream(Record* record) {
  if (done_.empty() || done_.back().operation->purpose == Purpose::kCallers) return false;
  const Done done = std::move(done_.back());
  done_.pop_back();
  record->fd = done.operation->stream;
  record->generation = static_cast<int32_t>(done.operation->stream_generation);
  record->what |= done.operation->purpose == Purpose::kStreamSend ? kSent : kConnected;
  return true;
}

void IoUring::TakeBuffer(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* room) {
  if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) return;
  const uint32_t buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
  buffers_->Taken(buffer);
  const std::span<const uint8_t> bytes = buffers_->At(buffer);
  const size_t length = std::min(static_cast<size_t>(std::max(cqe.res, 0)), bytes.size());
  if (length > kMaxPacked || length > room->size()) {
    record->place = -1 - static_cast<int32_t>(buffer);
    shown_.push_back(buffer);
    return;
  }
  record->place = static_cast<int32_t>(room->data() - pool.data());
  if (length > 0) std::memcpy(room->data(), bytes.data(), length);
  *room = room->subspan(length);
  buffers_->GiveBack(buffer);
}

void ExportStreamNumbers(Napi::Env env, Napi::Object exports) {
  Napi::Object numbers = Napi::Object::New(env);
  const auto number = [&](const char* name, int32_t value) { numbers.Set(name, Napi::Number::New(env, value)); };
  number("RECORD", static_cast<int32_t>(kRecordNumbers));
  number("RECEIVED", kReceived);
  number("ACCEPTED", kAccepted);
  number("SENT", kSent);
  number("CONNECTED", kConnected);
  number("WOKEN", kWoken);
  number("CALLERS", kCallers);
  number("LAST", kLast);
  number("MORE", kMore);
  number("REFUSED", kRefused);
  number("SURPLUS", kSurplus);
  exports.Set("streamNumbers", numbers);
}

}  // namespace selectors::uring
