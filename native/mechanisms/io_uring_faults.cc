// Fault plans and a ring. The kernel completes an entry whenever it likes, so a plan looks at entries as they are
// submitted, at each once:
//
//   an error   the entry does nothing (IORING_OP_NOP), and its completion gets the error as its result. The kernel has
//              received, sent, accepted or connected nothing: no byte and no connection is lost.
//   short      the entry is given less memory. A multishot receive, which takes whole buffers, becomes a single one.
#include <algorithm>

#include "core/faults.h"
#include "core/syscall.h"
#include "mechanisms/io_uring_ring.h"

namespace selectors::uring {
namespace {

// Null: no plan can name it.
const char* NameOfCompletion(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
      return "recv.completion";
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
      return "send.completion";
    case IORING_OP_ACCEPT:
      return "accept.completion";
    case IORING_OP_CONNECT:
      return "connect.completion";
    case IORING_OP_READ:
      return "read.completion";
    case IORING_OP_WRITE:
      return "write.completion";
    default:
      return nullptr;
  }
}

void ShortenMessage(msghdr* message, uint64_t most) {
  iovec* const end = message->msg_iov + message->msg_iovlen;
  iovec* const found = std::find_if(message->msg_iov, end, [](const iovec& one) { return one.iov_len > 0; });
  if (found == end) return;
  found->iov_len = static_cast<size_t>(std::min<uint64_t>(found->iov_len, most));
  message->msg_iov = found;
  message->msg_iovlen = 1;
}

void ShortenEntry(io_uring_sqe* sqe, uint64_t most) {
  if (sqe->opcode == IORING_OP_RECVMSG || sqe->opcode == IORING_OP_SENDMSG) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer before
    return ShortenMessage(reinterpret_cast<msghdr*>(sqe->addr), most);
  }
  const auto limit = static_cast<uint32_t>(std::min<uint64_t>(most, INT32_MAX));
  const bool takes_whole_buffer = (sqe->flags & IOSQE_BUFFER_SELECT) != 0 && sqe->len == 0;
  sqe->len = takes_whole_buffer ? limit : std::min(sqe->len, limit);
  if (sqe->opcode == IORING_OP_RECV) sqe->ioprio &= static_cast<uint16_t>(~IORING_RECV_MULTISHOT);
}

}  // namespace

void Ring::ApplyFaults() {
  if (sq_tail_ - looked_at_ > unsubmitted()) looked_at_ = SqHead();  // submitted while there was no plan
  for (; looked_at_ != sq_tail_; ++looked_at_) {
    io_uring_sqe& sqe = *EntryAt(looked_at_);
    const char* const name = NameOfCompletion(sqe.opcode);
    if (name == nullptr || sqe.fd < 0) continue;  // without a descriptor: a question of ours
    const Fault fault = TakeFault(name);
    if (fault.kind == Fault::Kind::kShort) ShortenEntry(&sqe, static_cast<uint64_t>(fault.value));
    if (fault.kind != Fault::Kind::kError) continue;
    const uint64_t user_data = sqe.user_data;
    sqe = {};
    sqe.opcode = IORING_OP_NOP;
    sqe.fd = -1;
    sqe.user_data = user_data;
    injected_.push_back({user_data, -fault.error()});
    has_injected_ = true;
  }
}

// Entries that are taken back never complete, and their numbers may be used again.
void Ring::ForgetFaults(uint32_t count) {
  if (looked_at_ - SqHead() > unsubmitted() - count) looked_at_ = sq_tail_ - count;
  for (uint32_t i = 0; i < count && !injected_.empty(); ++i) {
    if (FromEnd(i)->opcode != IORING_OP_NOP) continue;
    io_uring_cqe cqe{FromEnd(i)->user_data, 0, 0};
    TakeInjected(&cqe);
  }
}

void Ring::TakeInjected(io_uring_cqe* cqe) {
  const auto found = std::find_if(injected_.begin(), injected_.end(),
                                  [cqe](const Injected& one) { return one.user_data == cqe->user_data; });
  if (found == injected_.end()) return;
  cqe->res = found->result;
  injected_.erase(found);
  has_injected_ = !injected_.empty();
}

}  // namespace selectors::uring
