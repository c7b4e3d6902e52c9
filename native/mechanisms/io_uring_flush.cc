// What a loop sends on a ring, in one call.
#include <algorithm>

#include "core/outgoing.h"
#include "core/transfer.h"
#include "mechanisms/io_uring.h"

namespace selectors::uring {

// flush(outgoing, count, slab, buffers): sends each group of pieces, and puts into its first piece how many bytes were
// sent, or a negative error. Submits everything else that was prepared, too.
Napi::Value IoUring::Flush(const Napi::CallbackInfo& info) {
  Args args(info);
  const OutgoingPieces pieces(args);
  if (!args.ok()) return info.Env().Undefined();
  const std::span<OutgoingPiece> all = pieces.all();
  if (!ring_.is_open()) {
    for (OutgoingPiece& piece : all) piece.length = -kBadDescriptor;
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
      for (OutgoingPiece& piece : all.subspan(first)) piece.length = -kWouldBlock;  // the kernel takes nothing now
      break;
    }
    Await(all.subspan(begin, first - begin), begin, batch);
  }
  if (ring_.unsubmitted() > 0) Drain().Ignore("the caller sees that it was refused");
  if (ring_.was_refused()) return Napi::Boolean::New(info.Env(), false);
  return info.Env().Undefined();
}

void IoUring::PrepareFlush(io_uring_sqe* sqe, const OutgoingPieces& pieces, size_t first) {
  const size_t count = std::min(pieces.EndOfGroup(first) - first, kMaxIov);
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
void IoUring::Await(std::span<OutgoingPiece> outgoing, size_t begin, uint32_t batch) {
  constexpr int32_t kNoAnswer = INT32_MIN;
  for (OutgoingPiece& piece : outgoing) piece.length = kNoAnswer;
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
  for (OutgoingPiece& piece : outgoing) {
    if (piece.length == kNoAnswer) piece.length = -EBADR;
  }
}

}  // namespace selectors::uring
