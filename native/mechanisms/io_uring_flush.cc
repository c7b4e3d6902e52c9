// flush() of a proactor loop: sends what the loop has queued, in as few calls of io_uring_enter(2) as possible.
//
// The bytes are sent from where they are, the loop's slab or a buffer of JavaScript's, with MSG_DONTWAIT: such a send
// has completed when io_uring_enter returns, so the kernel no longer uses the memory. What does not fit into the
// socket's send buffer is sent by sendStream() (io_uring_streams.cc): a copy of the bytes, and the kernel waits.
#include <algorithm>

#include "core/outgoing.h"
#include "core/transfer.h"
#include "mechanisms/io_uring.h"

namespace selectors::uring {

// flush(outgoing, count, slab, buffers): sends the first `count` pieces of `outgoing` (core/outgoing.h). The result,
// number of bytes sent or a negative error, overwrites `length` of the first piece of each descriptor. Also submits all
// other prepared entries. Returns false if io_uring_enter failed for now: the caller must try again.
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
    // A batch: as many groups as the queue has room for. Its sends have completed when io_uring_enter returns.
    const size_t begin = first;
    uint32_t batch = 0;
    Result result = Result::Ok(0);
    while (first < all.size()) {
      io_uring_sqe* const sqe = batch == 0 ? GetSqe(&result) : ring_.GetSqe();
      if (sqe == nullptr) break;
      PrepareSend(sqe, pieces, first);
      first = pieces.EndOfGroup(first);
      ++batch;
    }
    if (batch == 0) {
      for (OutgoingPiece& piece : all.subspan(first)) piece.length = -kWouldBlock;  // the kernel accepts no entries now
      break;
    }
    SubmitSends(all.subspan(begin, first - begin), begin, batch);
  }
  if (ring_.unsubmitted() > 0) SubmitAll().Ignore("was_refused() reports it to the caller");
  if (ring_.was_refused()) return Napi::Boolean::New(info.Env(), false);
  return info.Env().Undefined();
}

void IoUring::PrepareSend(io_uring_sqe* sqe, const OutgoingPieces& pieces, size_t first) {
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
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  sqe->opcode = IORING_OP_SENDMSG;
  sqe->addr = reinterpret_cast<uintptr_t>(&message);
  sqe->len = 1;
}

namespace {

// EINTR is reported as EAGAIN: nothing was sent, and the caller sends again.
int32_t SendResult(int32_t result) {
  if (result >= 0) return result;
  return -result == kInterrupted ? -kWouldBlock : -PortableSendError(-result);
}

}  // namespace

// Submits `batch` sends and takes their completions. When it returns, the kernel no longer uses the caller's memory.
void IoUring::SubmitSends(std::span<OutgoingPiece> outgoing, size_t begin, uint32_t batch) {
  constexpr int32_t kNoResult = INT32_MIN;
  for (OutgoingPiece& piece : outgoing) piece.length = kNoResult;
  uint32_t left = batch;
  // Repeated while completions arrive: taking them makes room after EBUSY.
  for (bool progress = true; left > 0 && progress;) {
    progress = false;
    ring_.Enter(0, 0).Ignore("entries that were not submitted are removed below");
    for (io_uring_cqe cqe; left > 0 && ring_.Pop(&cqe); progress = true) {
      if (TagOf(cqe.user_data) != Tag::kFlush) {
        taken_cqes_.push_back(cqe);
        continue;
      }
      const size_t piece = LowOf(cqe.user_data) - begin;
      if (piece < outgoing.size()) outgoing[piece].length = SendResult(cqe.res);
      --left;
    }
  }
  // The sends are the last entries of the queue. Those that the kernel has not accepted are removed; the caller sends
  // again.
  const uint32_t refused = std::min(ring_.unsubmitted(), left);
  for (uint32_t i = 0; i < refused; ++i) {
    const size_t piece = LowOf(ring_.EntryFromEnd(i)->user_data) - begin;
    if (piece < outgoing.size()) outgoing[piece].length = -kWouldBlock;
  }
  ring_.RemoveLast(refused);
  // A lost completion (io_uring_enter(2), EBADR): how much was sent is unknown, so it must not be sent again.
  for (OutgoingPiece& piece : outgoing) {
    if (piece.length == kNoResult) piece.length = -EBADR;
  }
}

}  // namespace selectors::uring
