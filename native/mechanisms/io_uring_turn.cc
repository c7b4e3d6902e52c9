// turn() of a proactor loop: submits the queue, waits in io_uring_enter(2), and writes a record (io_uring_records.h)
// for each completion of a stream.
//
// Received bytes. A small message is copied behind the previous one into the caller's pool, and its buffer is provided
// to the kernel again at once. A large message stays in its buffer, which JavaScript may read until the next turn.
//
// Fairness. One turn delivers at most a share of bytes and chunks per stream; further receives of that stream are
// deferred to the next turns, in order, so that a fast sender does not starve the others.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/wait.h"
#include "mechanisms/io_uring.h"
#include "mechanisms/io_uring_records.h"

namespace selectors::uring {
namespace {

// Larger messages stay in their buffers. Copying 4 KiB costs 2 % of receiving them.
constexpr size_t kMaxPackedBytes = 4096;
// Chunks of one stream that one turn delivers, however small they are.
constexpr uint32_t kMaxChunks = 8;
// Added to LastReceive::index: it is an index in shares_.
constexpr uint32_t kHasShare = 1U << 31;

}  // namespace

// watchWake(fd): a turn ends when this descriptor becomes readable, and reports WOKEN.
Napi::Value IoUring::WatchWake(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  wake_fd_ = fd;
  return {info.Env(), ToJavaScript(info.Env(), StartWakePoll())};
}

Result IoUring::StartWakePoll() {
  io_uring_sqe* sqe = nullptr;
  const Result result = PrepareTagged(IORING_OP_POLL_ADD, wake_fd_, UserData(Tag::kWake, 0, 0), &sqe);
  if (result.ok()) {
    sqe->op_flags = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
  }
  return result;
}

// Called before each wait: without the poll, a wake-up would not end it.
void IoUring::RestartWakePoll() {
  if (needs_wake_poll_) needs_wake_poll_ = !StartWakePoll().ok();
}

// In the order of arrival: turn_cqes_ came first.
bool IoUring::NextForTurn(io_uring_cqe* cqe) {
  if (turn_cqes_.empty()) return NextCompletion(cqe);
  *cqe = turn_cqes_.front();
  turn_cqes_.pop_front();
  return true;
}

// True if this turn may deliver this receive, as record `count`. Always true for the first one of its stream.
inline bool IoUring::MayDeliver(const io_uring_cqe& cqe, std::span<Record> out, size_t count) {
  const size_t fd = LowOf(cqe.user_data);
  if (fd >= last_receives_.size()) {
    // A failed receive does not grow the array: with EBADF, the number may be any that JavaScript has passed.
    if (cqe.res <= 0) return true;
    last_receives_.resize(fd + 1);
  }
  LastReceive& last = last_receives_[fd];
  if (last.turn == turn_) return MayDeliverMore(cqe, out, count, &last);
  last = {turn_, static_cast<uint32_t>(count)};
  return true;
}

// turn(timeout, out, maxRecords, pool, poolOffset, maxShare): submits the queue, waits, and writes at most `maxRecords`
// records into `out`. Returns their number, or a negative error. maxShare: bytes per stream and turn.
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

  for (const uint32_t buffer : borrowed_buffers_) buffers_->Provide(buffer);
  borrowed_buffers_.clear();
  std::span<uint8_t> pool_rest = pool.subspan(pool_used);
  size_t count = 0;
  ++turn_;
  shares_.clear();
  RestartWakePoll();
  if (!deferred_receives_.empty()) DeliverDeferred(out, &count, pool, &pool_rest);
  const double deadline = timeout > 0 ? MonotonicMilliseconds() + timeout : 0;
  for (double remaining = timeout; !out.empty();) {
    // Completions that flush() has taken are enough for a turn: without entries to submit, there is no system call. The
    // exception is a turn inside Node's loop (timeout 0): it must look for what has arrived since, because the event
    // that announced it was consumed before this turn.
    const bool has_completions = count > 0 || !deferred_receives_.empty() || !turn_cqes_.empty() ||
                                 !taken_cqes_.empty() || !finished_.empty() || woken_ || ring_.completions() > 0;
    if (!has_completions || timeout == 0 || ring_.unsubmitted() > 0) {
      const Result entered = ring_.Enter(has_completions ? 0 : 1, has_completions ? 0 : remaining);
      // EBUSY, EAGAIN, ENOMEM: this turn takes the completions, the next one submits the rest.
      if (!entered.ok() && entered.error() != EBUSY && entered.error() != kWouldBlock && entered.error() != kNoMemory &&
          entered.error() != kInterrupted)
        return {info.Env(), ToJavaScript(info.Env(), entered)};
    }
    io_uring_cqe cqe{};
    while (count < out.size() && NextForTurn(&cqe)) {
      if (TagOf(cqe.user_data) == Tag::kReceive && !MayDeliver(cqe, out, count)) {
        deferred_receives_.push_back(cqe);
      } else if (Deliver(cqe, &out[count], pool, &pool_rest)) {
        ++count;
      }
    }
    // Goes on waiting if no completion made a record, for example that of a cancel.
    if (count > 0 || !finished_.empty() || woken_ || timeout == 0 || ring_.was_refused()) break;
    if (timeout > 0) {
      remaining = deadline - MonotonicMilliseconds();
      if (remaining <= 0) break;
    }
  }
  // One more record, with descriptor -1, for what is not about a stream.
  const int32_t other = (finished_.empty() ? 0 : kCallers) | (woken_ ? kWoken : 0) |
                        (deferred_receives_.empty() ? 0 : kMore) | (ring_.was_refused() ? kRefused : 0);
  if (other != 0 && count < out.size()) out[count++] = {-1, 0, other, 0, 0};
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

// For a further receive of the same stream in the same turn: true up to the stream's share. After the first one that is
// deferred, all later ones of the turn are, too.
bool IoUring::MayDeliverMore(const io_uring_cqe& cqe, std::span<Record> out, size_t count, LastReceive* last) {
  const auto bytes_of = [](int32_t result) { return static_cast<uint32_t>(std::max(result, 0)); };
  const bool has_share = (last->index & kHasShare) != 0;
  const size_t index = last->index & ~kHasShare;
  size_t last_record = has_share ? out.size() : index;
  if (has_share && index < shares_.size()) last_record = shares_[index].last_record;
  // The record of a former owner of the descriptor number, or an entry that is as old as an overflow of turn_.
  if (last_record >= out.size() || out[last_record].generation != static_cast<int32_t>(GenerationOf(cqe.user_data))) {
    *last = {turn_, static_cast<uint32_t>(count)};
    return true;
  }
  if (!has_share) {
    last->index = kHasShare | static_cast<uint32_t>(shares_.size());
    shares_.push_back({bytes_of(out[last_record].result), 1, last_record});
  }
  Share& share = shares_[last->index & ~kHasShare];
  const uint32_t bytes = bytes_of(cqe.res);
  if (share.chunks < kMaxChunks && bytes <= max_share_ && share.bytes <= max_share_ - bytes) {
    share = {share.bytes + bytes, share.chunks + 1, count};
    return true;
  }
  share.chunks = kMaxChunks;
  out[share.last_record].flags |= kSurplus;
  return false;
}

// Delivers the deferred receives, before newer ones.
void IoUring::DeliverDeferred(std::span<Record> out, size_t* count, std::span<uint8_t> pool,
                              std::span<uint8_t>* pool_rest) {
  std::deque<io_uring_cqe> still_deferred;
  for (const io_uring_cqe& cqe : deferred_receives_) {
    if (*count < out.size() && MayDeliver(cqe, out, *count)) {
      if (Deliver(cqe, &out[*count], pool, pool_rest)) ++*count;
    } else {
      still_deferred.push_back(cqe);
    }
  }
  deferred_receives_ = std::move(still_deferred);
}

// Writes a completion as a record. False: the loop needs no record of it.
bool IoUring::Deliver(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* pool_rest) {
  const int32_t last = (cqe.flags & IORING_CQE_F_MORE) == 0 ? kLast : 0;
  *record = {static_cast<int32_t>(LowOf(cqe.user_data)), static_cast<int32_t>(GenerationOf(cqe.user_data)), last,
             cqe.res, 0};
  switch (TagOf(cqe.user_data)) {
    case Tag::kReceive:
      if (last != 0) --outstanding_;
      record->flags |= kReceived;
      DeliverBytes(cqe, record, pool, pool_rest);
      return true;
    case Tag::kAccept:
      if (last != 0) --outstanding_;
      record->flags |= kAccepted;
      if (cqe.res >= 0) UnclaimedFds::Add(Env(), cqe.res);
      return true;
    case Tag::kOperation:
      HandleCompletion(cqe);
      return DeliverFinished(record);
    case Tag::kWake:
    case Tag::kIgnored:
    case Tag::kFlush:
      HandleCompletion(cqe);
      return false;
  }
  return false;
}

// Writes the record of the operation that has just finished, if it is a stream's.
bool IoUring::DeliverFinished(Record* record) {
  if (finished_.empty() || finished_.back().operation->purpose == Purpose::kCaller) return false;
  const FinishedOperation finished = std::move(finished_.back());
  finished_.pop_back();
  record->fd = finished.operation->stream;
  record->generation = static_cast<int32_t>(finished.operation->stream_generation);
  record->flags |= finished.operation->purpose == Purpose::kStreamSend ? kSent : kConnected;
  return true;
}

// Copies a small message into the pool, or lends the buffer of a large one to JavaScript.
void IoUring::DeliverBytes(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool,
                           std::span<uint8_t>* pool_rest) {
  if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) return;
  const uint32_t buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
  buffers_->MarkUsed(buffer);
  const std::span<const uint8_t> bytes = buffers_->At(buffer);
  const size_t length = std::min(static_cast<size_t>(std::max(cqe.res, 0)), bytes.size());
  if (length > kMaxPackedBytes || length > pool_rest->size()) {
    record->location = -1 - static_cast<int32_t>(buffer);
    borrowed_buffers_.push_back(buffer);
    return;
  }
  record->location = static_cast<int32_t>(pool_rest->data() - pool.data());
  if (length > 0) std::memcpy(pool_rest->data(), bytes.data(), length);
  *pool_rest = pool_rest->subspan(length);
  buffers_->Provide(buffer);
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
