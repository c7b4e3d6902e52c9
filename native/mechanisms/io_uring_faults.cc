// Fault plans (core/faults.h) on a ring. A plan is applied to each entry once, when it is submitted: its completion may
// arrive at any time.
//
//   error   the entry becomes IORING_OP_NOP, and its completion gets the error as its result. The kernel does no I/O:
//           no byte and no connection is lost.
//   short   the entry gets less memory. A multishot receive, which uses whole buffers, becomes a single one.
#include <algorithm>

#include "core/faults.h"
#include "core/syscall.h"
#include "mechanisms/io_uring_ring.h"

namespace selectors::uring {
namespace {

// The name of an operation in a fault plan. Null: it has none.
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

void ShortenMessage(msghdr* message, uint64_t max_bytes) {
  iovec* const end = message->msg_iov + message->msg_iovlen;
  iovec* const found = std::find_if(message->msg_iov, end, [](const iovec& one) { return one.iov_len > 0; });
  if (found == end) return;
  found->iov_len = static_cast<size_t>(std::min<uint64_t>(found->iov_len, max_bytes));
  message->msg_iov = found;
  message->msg_iovlen = 1;
}

void ShortenEntry(io_uring_sqe* sqe, uint64_t max_bytes) {
  if (sqe->opcode == IORING_OP_RECVMSG || sqe->opcode == IORING_OP_SENDMSG) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer before
    return ShortenMessage(reinterpret_cast<msghdr*>(sqe->addr), max_bytes);
  }
  const auto limit = static_cast<uint32_t>(std::min<uint64_t>(max_bytes, INT32_MAX));
  const bool uses_whole_buffer = (sqe->flags & IOSQE_BUFFER_SELECT) != 0 && sqe->len == 0;
  sqe->len = uses_whole_buffer ? limit : std::min(sqe->len, limit);
  if (sqe->opcode == IORING_OP_RECV) sqe->ioprio &= static_cast<uint16_t>(~IORING_RECV_MULTISHOT);
}

}  // namespace

// Takes the fault of an entry that is about to be submitted, and changes the entry accordingly.
Fault Ring::TakeFaultOf(io_uring_sqe* sqe) {
  const char* const name = NameOfCompletion(sqe->opcode);
  if (name == nullptr || sqe->fd < 0) return {};  // without a descriptor: a probe of openStreams()
  const Fault fault = TakeFault(name);
  if (fault.kind == Fault::Kind::kShort) ShortenEntry(sqe, static_cast<uint64_t>(fault.value));
  if (fault.kind != Fault::Kind::kError) return fault;
  const uint64_t user_data = sqe->user_data;
  *sqe = {};
  sqe->opcode = IORING_OP_NOP;
  sqe->fd = -1;
  sqe->user_data = user_data;
  injected_.push_back({user_data, -fault.error()});
  return fault;
}

// True if a fault plan has set the result of this completion.
bool Ring::ApplyInjectedResult(io_uring_cqe* cqe) {
  const auto found = std::find_if(injected_.begin(), injected_.end(),
                                  [cqe](const Injected& one) { return one.user_data == cqe->user_data; });
  if (found == injected_.end()) return false;
  cqe->res = found->result;
  injected_.erase(found);
  return true;
}

}  // namespace selectors::uring
