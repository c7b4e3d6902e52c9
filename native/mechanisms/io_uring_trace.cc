// What a trace (core/trace.h) shows of a ring: each entry before the io_uring_enter(2) that submits it, and each
// completion when it is taken from the queue.
//
//   RECV fd=20 buf_group=0 MULTISHOT user_data=7
//   user_data=7 res=64 MORE|BUFFER(3)
//
// The names are those of io_uring_enter(2) without IORING_OP_, IORING_CQE_F_ and the like. An entry's user_data packs a
// tag, a generation and a slot or a descriptor (io_uring.h). In its place stands the number of the entry among those of
// the ring that were traced, which does not differ between runs.
#include <poll.h>

#include <string>

#include "core/syscall.h"
#include "mechanisms/io_uring_ring.h"

namespace selectors::uring {
namespace {

// Of a completion whose entry was submitted before the trace began.
constexpr const char* kUnknownName = "unknown";

#define NAME(constant) \
  { constant, #constant }
constexpr print::Name kOpcodes[] = {
    {IORING_OP_NOP, "NOP"},         {IORING_OP_POLL_ADD, "POLL_ADD"}, {IORING_OP_SENDMSG, "SENDMSG"},
    {IORING_OP_RECVMSG, "RECVMSG"}, {IORING_OP_TIMEOUT, "TIMEOUT"},   {IORING_OP_ACCEPT, "ACCEPT"},
    {IORING_OP_CONNECT, "CONNECT"}, {IORING_OP_READ, "READ"},         {IORING_OP_WRITE, "WRITE"},
    {IORING_OP_SEND, "SEND"},       {IORING_OP_RECV, "RECV"},         {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
};
constexpr print::Name kAcceptFlags[] = {NAME(SOCK_CLOEXEC), NAME(SOCK_NONBLOCK)};
constexpr print::Name kEvents[] = {NAME(POLLIN),  NAME(POLLPRI),  NAME(POLLOUT),  NAME(POLLERR),
                                   NAME(POLLHUP), NAME(POLLNVAL), NAME(POLLRDHUP)};
constexpr print::Name kCancelFlags[] = {{IORING_ASYNC_CANCEL_ALL, "ALL"}, {IORING_ASYNC_CANCEL_ANY, "ANY"}};
#undef NAME

const char* NameOf(uint8_t opcode) {
  for (const auto& [value, name] : kOpcodes) {
    if (value == opcode) return name;
  }
  return kUnknownName;
}

template <typename T>
const T* Pointer(uint64_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer before
  return reinterpret_cast<const T*>(static_cast<uintptr_t>(address));
}

std::string& Field(std::string& out, const char* name) {
  if (!out.empty()) out += ' ';
  return out.append(name);
}

void AppendLength(std::string& out, uint64_t length) { print::AppendUnsigned(Field(out, "len="), length); }

void AppendMessageFlags(std::string& out, uint32_t flags) {
  if (flags != 0) print::AppendMessageFlags(Field(out, "flags="), flags);
}

// The bytes that are sent.
void AppendSent(std::string& out, const io_uring_sqe& sqe) {
  print::AppendBytes(Field(out, "addr="), Pointer<uint8_t>(sqe.addr), sqe.len);
  AppendLength(out, sqe.len);
}

void AppendMessage(std::string& out, const msghdr& message, bool is_sent) {
  if (is_sent && message.msg_name != nullptr)
    print::AppendSocketAddress(Field(out, "name="), message.msg_name, message.msg_namelen);
  const std::span<const iovec> pieces(message.msg_iov, static_cast<size_t>(message.msg_iovlen));
  uint64_t length = 0;
  for (const iovec& piece : pieces) length += piece.iov_len;
  if (is_sent) {
    print::AppendArray(Field(out, "iov="), pieces,
                       [&out](const iovec& piece) { print::AppendBytes(out, piece.iov_base, piece.iov_len); });
  }
  AppendLength(out, length);
}

// An offset; the kernel takes -1 for the current position of the file.
void AppendOffset(std::string& out, uint64_t offset) {
  print::AppendDecimal(Field(out, "off="), static_cast<int64_t>(offset));
}

void AppendFields(std::string& out, const io_uring_sqe& sqe) {
  switch (sqe.opcode) {
    case IORING_OP_ACCEPT:
      if (sqe.op_flags != 0) print::AppendFlags(Field(out, "flags="), kAcceptFlags, sqe.op_flags);
      if ((sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0) Field(out, "MULTISHOT");
      break;
    case IORING_OP_CONNECT:
      print::AppendSocketAddress(Field(out, "addr="), Pointer<void>(sqe.addr), static_cast<size_t>(sqe.off));
      break;
    case IORING_OP_RECV:
      if ((sqe.flags & IOSQE_BUFFER_SELECT) != 0) print::AppendUnsigned(Field(out, "buf_group="), sqe.buf_index);
      if ((sqe.flags & IOSQE_BUFFER_SELECT) == 0 || sqe.len != 0) AppendLength(out, sqe.len);
      AppendMessageFlags(out, sqe.op_flags);
      if ((sqe.ioprio & IORING_RECV_MULTISHOT) != 0) Field(out, "MULTISHOT");
      break;
    case IORING_OP_SEND:
      AppendSent(out, sqe);
      AppendMessageFlags(out, sqe.op_flags);
      break;
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
      AppendMessage(out, *Pointer<msghdr>(sqe.addr), sqe.opcode == IORING_OP_SENDMSG);
      AppendMessageFlags(out, sqe.op_flags);
      break;
    case IORING_OP_READ:
      AppendLength(out, sqe.len);
      AppendOffset(out, sqe.off);
      break;
    case IORING_OP_WRITE:
      AppendSent(out, sqe);
      AppendOffset(out, sqe.off);
      break;
    case IORING_OP_POLL_ADD: {
      // On a big-endian machine the kernel has the halves the other way round; the events are in one of them.
      const uint32_t events = sqe.op_flags > UINT16_MAX ? sqe.op_flags >> 16 : sqe.op_flags;
      print::AppendFlags(Field(out, "events="), kEvents, events);
      if ((sqe.len & IORING_POLL_ADD_MULTI) != 0) Field(out, "MULTISHOT");
      break;
    }
    case IORING_OP_TIMEOUT: {
      const auto& time = *Pointer<kernel_timespec>(sqe.addr);
      print::AppendDecimal(Field(out, "addr={tv_sec="), time.tv_sec);
      print::AppendDecimal(out.append(", tv_nsec="), time.tv_nsec);
      out += '}';
      AppendOffset(out, sqe.off);
      break;
    }
    default:
      break;
  }
}

}  // namespace

// Gives the entry a number, and returns its fields.
std::string Ring::DescribeSubmission(const io_uring_sqe& sqe) {
  std::string out;
  if (sqe.fd >= 0 || sqe.opcode == IORING_OP_RECV) print::AppendDecimal(Field(out, "fd="), sqe.fd);
  AppendFields(out, sqe);
  if (sqe.opcode == IORING_OP_ASYNC_CANCEL && sqe.op_flags == 0) {
    // addr: the user_data of the entry that is cancelled.
    const auto target = submissions_.find(sqe.addr);
    Field(out, "addr=").append(target == submissions_.end() ? kUnknownName : std::to_string(target->second.number));
  } else if (sqe.opcode == IORING_OP_ASYNC_CANCEL) {
    print::AppendFlags(Field(out, "flags="), kCancelFlags, sqe.op_flags);
  }
  Submission& submission = submissions_.try_emplace(sqe.user_data, Submission{0, 0, ""}).first->second;
  if (submission.in_flight++ == 0) submission.number = ++last_number_;
  submission.name = NameOf(sqe.opcode);
  print::AppendUnsigned(Field(out, "user_data="), submission.number);
  return out;
}

void Ring::TraceCompletion(const io_uring_cqe& cqe, bool is_injected) {
  const bool is_last = (cqe.flags & IORING_CQE_F_MORE) == 0;
  const bool is_recorded = Recorder::RecordsOperations();
  auto found = submissions_.find(cqe.user_data);
  if (found == submissions_.end()) {
    if (!is_recorded) return;
    found = submissions_.emplace(cqe.user_data, Submission{++last_number_, 1, kUnknownName}).first;
  }
  OperationRecord record{RecordKind::kCompletion, found->second.name};
  print::AppendUnsigned(record.arguments.append("user_data="), found->second.number);
  if (is_last) ForgetSubmission(cqe.user_data);
  if (!is_recorded) return;
  record.result = cqe.res < 0 ? -1 : cqe.res;
  record.error = cqe.res < 0 ? -cqe.res : 0;
  if (is_injected) record.fault = Fault::Kind::kError;
  constexpr print::Name kFlags[] = {{IORING_CQE_F_MORE, "MORE"}, {IORING_CQE_F_SOCK_NONEMPTY, "SOCK_NONEMPTY"}};
  constexpr uint32_t kLowFlags = (1U << IORING_CQE_BUFFER_SHIFT) - 1;
  const uint32_t flags = cqe.flags & kLowFlags & ~IORING_CQE_F_BUFFER;
  if (flags != 0) print::AppendFlags(record.flags, kFlags, flags);
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    if (flags != 0) record.flags += '|';
    print::AppendUnsigned(record.flags.append("BUFFER("), cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    record.flags += ')';
  }
  Recorder::RecordOperation(record);
}

// The last completion of an entry has arrived, or the entry was removed.
void Ring::ForgetSubmission(uint64_t user_data) {
  const auto found = submissions_.find(user_data);
  if (found != submissions_.end() && --found->second.in_flight == 0) submissions_.erase(found);
}

}  // namespace selectors::uring
