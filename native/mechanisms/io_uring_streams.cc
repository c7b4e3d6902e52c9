// The streams of a loop on a ring: one accept goes on accepting, one receive goes on receiving (io_uring_multishot(7)),
// into buffers that the kernel takes from a ring of them. A turn of the loop is two calls: turn() waits and tells what
// has been done, flush() sends what was written. All numbers cross in an Int32Array.
//
// A stream is named by its descriptor and a generation: the descriptor is closed, and its number used again, before the
// last completion of its receive has come, which then still owns a buffer (axboe/liburing#346).
//
// What is received. A small message is packed behind the last one into the caller's pool, and its buffer given back at
// once; a large one stays in its buffer, which JavaScript sees until the next turn.
//
// What is sent goes from where it is, the loop's slab or a buffer of JavaScript's, with MSG_DONTWAIT: such a send is
// over when io_uring_enter returns, and with it the kernel's use of that memory. What the socket has no room for is
// sent by an operation that waits for it (sendStream), with a copy of the bytes.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "core/outgoing.h"
#include "core/shown_memory.h"
#include "core/syscall.h"
#include "core/transfer.h"
#include "core/wait.h"
#include "mechanisms/io_uring.h"

namespace selectors::uring {

struct Record {
  int32_t fd;
  int32_t generation;
  int32_t what;
  int32_t result;  // bytes, a descriptor, 0, or a negative error
  int32_t place;   // offset in the pool, or -1 - the buffer
};

namespace {

// What a record is about.
enum : int32_t {
  kReceived = 1,
  kAccepted = 2,
  kSent = 4,
  kConnected = 8,
  kWoken = 16,
  kCallers = 32,   // completions() has something
  kLast = 64,      // the multishot is over
  kMore = 128,     // the next turn has something without a wait: receives beyond their stream's share
  kRefused = 256,  // io_uring_enter was refused for now (EAGAIN, EBUSY, EINTR, ENOMEM): it must be tried again
  kSurplus = 512,  // more was received for this stream than its share: it comes in the next turns
};

constexpr size_t kRecordNumbers = sizeof(Record) / sizeof(int32_t);

// To copy 4 KiB costs 2 % of receiving them.
constexpr size_t kMostPacked = 4096;
constexpr uint32_t kMostBuffers = 32768;
constexpr uint16_t kBufferGroup = 0;
// How long a kernel that has no memory is asked what it can do. Milliseconds.
constexpr double kPatience = 5000;
// What one waiting send copies at the most; the rest follows when that is sent.
constexpr size_t kMostWaiting = 1 << 20;
constexpr size_t kMostWaitingPieces = 1024;
// Chunks of one stream that one turn tells, however small they are.
constexpr uint32_t kMaxChunks = 8;
constexpr uint32_t kOfSeveral = 1U << 31;

}  // namespace

// ------------------------------------------------------------------------------------------------------- opening

namespace {

// The provided buffers as JavaScript sees them. Neither the ring nor JavaScript frees them under the other.
class ShownBuffers : public ShownMemory {
 public:
  explicit ShownBuffers(std::shared_ptr<ProvidedBuffers> buffers) : buffers_(std::move(buffers)) {}
  void Free() override { buffers_.reset(); }
  void Keep() override { buffers_->Abandon(); }

 private:
  std::shared_ptr<ProvidedBuffers> buffers_;
};

}  // namespace

// openStreams(count, size): an ArrayBuffer that shows all provided buffers; null where this program allows none; or a
// negative error: the kernel has no ring of buffers, or no multishot receive (EINVAL).
Napi::Value IoUring::OpenStreams(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto count = static_cast<uint32_t>(args.SizeAt(0, kMostBuffers));
  const auto size = static_cast<uint32_t>(args.SizeAt(1, 1 << 24));
  if (args.ok() && (count == 0 || (count & (count - 1)) != 0)) args.Fail(0, "a power of two");
  if (!args.ok()) return info.Env().Undefined();
  Result result = Result::Ok(0);
  auto buffers = std::make_shared<ProvidedBuffers>();
  if (!ring_.is_open() || buffers_ != nullptr) result = Result::Error(kInvalidArgument);
  if (result.ok()) result = buffers->Open(ring_, count, size);
  if (!result.ok()) return {info.Env(), ToJavaScript(info.Env(), result)};
  buffers_ = std::move(buffers);

  // An entry for no descriptor: EBADF from a kernel that knows the flag, EINVAL from one that does not.
  io_uring_sqe* sqe = nullptr;
  const uint64_t probe = UserData(Tag::kIgnored, 1, 0);
  result = PrepareTagged(IORING_OP_RECV, -1, probe, &sqe);
  if (!result.ok()) return {info.Env(), ToJavaScript(info.Env(), result)};
  sqe->flags = IOSQE_BUFFER_SELECT;
  sqe->ioprio = IORING_RECV_MULTISHOT;
  const double deadline = MonotonicMilliseconds() + kPatience;
  for (bool is_answered = false; !is_answered;) {
    Result entered = ring_.Enter(1, kPatience);
    // EBUSY: completions that found no room must be taken first, which is done below.
    if (!entered.ok() && entered.error() == EBUSY) entered = Result::Ok(0);
    if (entered.ok() && MonotonicMilliseconds() > deadline) entered = Result::Error(kWouldBlock);
    if (!entered.ok()) return {info.Env(), ToJavaScript(info.Env(), entered)};
    for (io_uring_cqe cqe; ring_.Pop(&cqe);) {
      if (cqe.user_data != probe) {
        backlog_.push_back(cqe);
        continue;
      }
      --outstanding_;
      is_answered = true;
      if (cqe.res == -kInvalidArgument) return Napi::Number::New(info.Env(), cqe.res);
    }
  }

  napi_value buffer = nullptr;
  if (Show(info.Env(), buffers_->all(), std::make_unique<ShownBuffers>(buffers_), &buffer) != napi_ok)
    return info.Env().Null();
  return {info.Env(), buffer};
}

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

// ------------------------------------------------------------------------------------------------------- streams

// All of them: 0 or a negative error.

// acceptStream(fd, generation, multishot, nonBlocking)
Napi::Value IoUring::AcceptStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const auto generation = static_cast<uint32_t>(args.SizeAt(1, kGenerationMask));
  const bool is_multishot = args.BooleanAt(2);
  const bool is_non_blocking = args.BooleanAt(3);
  if (!args.ok()) return info.Env().Undefined();
  io_uring_sqe* sqe = nullptr;
  const uint64_t user_data = UserData(Tag::kAccept, generation, static_cast<uint32_t>(fd));
  const Result result = PrepareTagged(IORING_OP_ACCEPT, fd, user_data, &sqe);
  if (result.ok()) {
    sqe->op_flags = static_cast<uint32_t>(SOCK_CLOEXEC | (is_non_blocking ? SOCK_NONBLOCK : 0));
    if (is_multishot) sqe->ioprio = IORING_ACCEPT_MULTISHOT;
  }
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

// Before a wait: a wake-up that is not watched for would never come.
void IoUring::RestoreWake() {
  if (wake_is_lost_) wake_is_lost_ = !WatchWakeAgain().ok();
}

// receiveStream(fd, generation, multishot): until the end, an error, a lack of buffers (ENOBUFS), or cancelStream; else
// once.
Napi::Value IoUring::ReceiveStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const auto generation = static_cast<uint32_t>(args.SizeAt(1, kGenerationMask));
  const bool is_multishot = args.BooleanAt(2);
  if (!args.ok()) return info.Env().Undefined();
  io_uring_sqe* sqe = nullptr;
  const uint64_t user_data = UserData(Tag::kReceive, generation, static_cast<uint32_t>(fd));
  const Result result = PrepareTagged(IORING_OP_RECV, fd, user_data, &sqe);
  if (result.ok()) {
    sqe->flags = IOSQE_BUFFER_SELECT;
    if (is_multishot) sqe->ioprio = IORING_RECV_MULTISHOT;
    sqe->buf_index = kBufferGroup;
  }
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

IoUring::Prepared IoUring::PrepareForStream(uint8_t opcode, Purpose purpose, Fd fd, uint32_t generation,
                                            size_t memory) {
  const Prepared prepared = PrepareOperation(opcode, fd, memory);
  if (prepared.operation == nullptr) return prepared;
  prepared.operation->purpose = purpose;
  prepared.operation->stream = fd;
  prepared.operation->stream_generation = generation;
  by_stream_[StreamKey(fd, generation)] = prepared.slot;
  return prepared;
}

// connectStream(fd, generation, sockaddr)
Napi::Value IoUring::ConnectStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const auto generation = static_cast<uint32_t>(args.SizeAt(1, kGenerationMask));
  const std::span<const uint8_t> address = args.BytesAt(2);
  if (args.ok() && address.size() > sizeof(sockaddr_storage)) args.Fail(2, "no longer than a sockaddr_storage");
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = PrepareForStream(IORING_OP_CONNECT, Purpose::kStreamConnect, fd, generation, 0);
  if (prepared.sqe != nullptr) {
    Operation& operation = *prepared.operation;
    operation.SetAddress(address);
    prepared.sqe->addr = reinterpret_cast<uintptr_t>(&operation.address);
    prepared.sqe->off = address.size();
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

// sendStream(fd, generation, buffers): the kernel waits until the socket has room. How many bytes it was given.
Napi::Value IoUring::SendStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::vector<napi_value> buffers = ElementsOf(args, 2, kMostWaitingPieces);
  const Fd fd = args.FdAt(0);
  const auto generation = static_cast<uint32_t>(args.SizeAt(1, kGenerationMask));
  if (!args.ok()) return info.Env().Undefined();
  size_t size = 0;
  for (napi_value buffer : buffers) size += MemoryOf(info.Env(), buffer).size();
  size = std::min(size, kMostWaiting);
  const Prepared prepared = PrepareForStream(IORING_OP_SEND, Purpose::kStreamSend, fd, generation, size);
  if (prepared.sqe == nullptr) return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
  Operation& operation = *prepared.operation;
  size_t used = 0;
  for (napi_value buffer : buffers) {
    const std::span<const uint8_t> bytes = MemoryOf(info.Env(), buffer);
    const size_t part = std::min(bytes.size(), size - used);
    if (part > 0) std::memcpy(operation.memory.get() + used, bytes.data(), part);
    used += part;
  }
  prepared.sqe->addr = reinterpret_cast<uintptr_t>(operation.memory.get());
  prepared.sqe->len = static_cast<uint32_t>(used);
  prepared.sqe->op_flags = MSG_NOSIGNAL;
  return Napi::Number::New(info.Env(), static_cast<double>(used));
}

// cancelStream(what, fd, generation): of what was started for it, the receive, the accept, or the connect and send.
Napi::Value IoUring::CancelStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const int what = args.IntAt(0);
  const Fd fd = args.FdAt(1);
  const auto generation = static_cast<uint32_t>(args.SizeAt(2, kGenerationMask));
  if (!args.ok()) return info.Env().Undefined();
  const auto low = static_cast<uint32_t>(fd);
  std::vector<uint64_t> targets;
  if ((what & kReceived) != 0) targets.push_back(UserData(Tag::kReceive, generation, low));
  if ((what & kAccepted) != 0) targets.push_back(UserData(Tag::kAccept, generation, low));
  if ((what & (kSent | kConnected)) != 0) {
    const auto found = by_stream_.find(StreamKey(fd, generation));
    if (found != by_stream_.end())
      targets.push_back(UserData(Tag::kOperation, generations_[found->second], found->second));
  }
  Result result = Result::Ok(0);
  for (const uint64_t target : targets) {
    io_uring_sqe* sqe = nullptr;
    result = PrepareTagged(IORING_OP_ASYNC_CANCEL, -1, UserData(Tag::kIgnored, 0, 0), &sqe);
    if (!result.ok()) break;
    sqe->addr = target;
  }
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

// peerOf(fd, out): how long its sockaddr is, or a negative error. Unlike getpeername(2) alone also of one that has been
// reset meanwhile, which a multishot accept cannot tell.
Napi::Value IoUring::PeerOf(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> out = args.BytesAt(1);
  if (args.ok() && out.size() < sizeof(sockaddr_storage)) args.Fail(1, "room for a sockaddr_storage");
  if (!args.ok()) return info.Env().Undefined();
  socklen_t length = sizeof(sockaddr_storage);
  Result result = Call<::getpeername>(fd, reinterpret_cast<sockaddr*>(out.data()), &length);
  // SO_PEERNAME refuses to be asked for more than there is, and cuts off what is longer: the longest first.
  for (const size_t size : {sizeof(sockaddr_in6), sizeof(sockaddr_in)}) {
    if (result.ok()) break;
    length = static_cast<socklen_t>(size);
    result = Call<::getsockopt>(fd, SOL_SOCKET, SO_PEERNAME, static_cast<void*>(out.data()), &length);
  }
  if (result.ok()) result = Within(out.size(), Result::Ok(static_cast<int64_t>(length)));
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

// copyOfBuffer(buffer, length): for a program that cannot, or can no longer, see the provided buffers.
Napi::Value IoUring::CopyOfBuffer(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto buffer = static_cast<uint32_t>(args.SizeAt(0, kMostBuffers));
  const std::span<const uint8_t> bytes = buffers_ == nullptr ? std::span<uint8_t>() : buffers_->At(buffer);
  const size_t length = args.SizeAt(1, bytes.size());
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), length);
}

// -------------------------------------------------------------------------------------------------------- a turn

// flush(outgoing, count, slab, buffers): sends each group of pieces, and puts into its first piece how many bytes were
// sent, or a negative error. Submits everything else that was prepared, too.
Napi::Value IoUring::Flush(const Napi::CallbackInfo& info) {
  Args args(info);
  const OutgoingPieces pieces(args);
  if (!args.ok()) return info.Env().Undefined();
  const std::span<Outgoing> all = pieces.all();
  if (!ring_.is_open()) {
    for (Outgoing& piece : all) piece.length = -kBadDescriptor;
    return info.Env().Undefined();
  }
  messages_.resize(all.size());
  vectors_.resize(all.size());
  for (size_t first = 0; first < all.size();) {
    // As many as there is room for; each batch is over when its io_uring_enter returns.
    const size_t begin = first;
    uint32_t batch = 0;
    Result result = Result::Ok(0);
    while (first < all.size()) {
      io_uring_sqe* const sqe = batch == 0 ? FreeSqe(&result) : ring_.NextSqe();
      if (sqe == nullptr) break;
      PrepareFlush(sqe, pieces, first);
      first = pieces.EndOfGroup(first);
      ++batch;
    }
    if (batch == 0) {
      for (Outgoing& piece : all.subspan(first)) piece.length = -kWouldBlock;  // the kernel takes nothing now
      break;
    }
    Await(all.subspan(begin, first - begin), begin, batch);
  }
  if (ring_.unsubmitted() > 0) Drain().Ignore("the caller sees that it was refused");
  if (ring_.was_refused()) return Napi::Boolean::New(info.Env(), false);
  return info.Env().Undefined();
}

void IoUring::PrepareFlush(io_uring_sqe* sqe, const OutgoingPieces& pieces, size_t first) {
  const size_t count = std::min(pieces.EndOfGroup(first) - first, kMostPieces);
  for (size_t i = first; i < first + count; ++i) {
    const std::span<const uint8_t> memory = pieces.BytesOf(i);
    vectors_[i] = {const_cast<uint8_t*>(memory.data()), memory.size()};
  }
  sqe->fd = pieces.all()[first].fd;
  sqe->op_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  sqe->user_data = UserData(Tag::kFlush, 0, static_cast<uint32_t>(first));
  if (count == 1) {
    sqe->opcode = IORING_OP_SEND;
    sqe->addr = reinterpret_cast<uintptr_t>(vectors_[first].iov_base);
    sqe->len = static_cast<uint32_t>(vectors_[first].iov_len);
    return;
  }
  msghdr& message = messages_[first];
  message = {};
  message.msg_iov = &vectors_[first];
  message.msg_iovlen = count;
  sqe->opcode = IORING_OP_SENDMSG;
  sqe->addr = reinterpret_cast<uintptr_t>(&message);
  sqe->len = 1;
}

namespace {

// A send that was interrupted has sent nothing, and is sent again like one for which there was no room.
int32_t FlushResult(int32_t result) {
  if (result >= 0) return result;
  return -result == kInterrupted ? -kWouldBlock : -SendError(-result);
}

}  // namespace

// Submits `batch` sends and takes their completions. When it returns, the kernel knows nothing of the caller's memory.
void IoUring::Await(std::span<Outgoing> outgoing, size_t begin, uint32_t batch) {
  constexpr int32_t kNoAnswer = INT32_MIN;
  for (Outgoing& piece : outgoing) piece.length = kNoAnswer;
  uint32_t left = batch;
  // Again as long as something comes: after EBUSY there is room now.
  for (bool goes_on = true; left > 0 && goes_on;) {
    goes_on = false;
    ring_.Enter(0, 0).Ignore("what it did not take is taken back below");
    for (io_uring_cqe cqe; left > 0 && ring_.Pop(&cqe); goes_on = true) {
      if (TagOf(cqe.user_data) != Tag::kFlush) {
        backlog_.push_back(cqe);
        continue;
      }
      const size_t piece = LowOf(cqe.user_data) - begin;
      if (piece < outgoing.size()) outgoing[piece].length = FlushResult(cqe.res);
      --left;
    }
  }
  // The sends are the last entries: those that the kernel does not take are taken back, and can be sent again.
  const uint32_t refused = std::min(ring_.unsubmitted(), left);
  for (uint32_t i = 0; i < refused; ++i) {
    const size_t piece = LowOf(ring_.FromEnd(i)->user_data) - begin;
    if (piece < outgoing.size()) outgoing[piece].length = -kWouldBlock;
  }
  ring_.TakeBack(refused);
  // An answer that was lost (io_uring_enter(2), EBADR): nobody knows what of it was sent, so nothing is sent again.
  for (Outgoing& piece : outgoing) {
    if (piece.length == kNoAnswer) piece.length = -EBADR;
  }
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
      if (cqe.res >= 0) Unclaimed::Add(Env(), cqe.res);
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
  if (length > kMostPacked || length > room->size()) {
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
