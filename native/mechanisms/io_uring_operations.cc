// The operations of a ring: one method per opcode, named after it as in liburing.
#include <bit>
#include <cstring>

#include "core/transfer.h"
#include "core/wait.h"
#include "mechanisms/io_uring.h"

namespace selectors::uring {

// Each method prepares an entry and returns 0, or a negative error: ENOMEM, or the full queue cannot be submitted. The
// last argument, userData, is any number; completions() returns it with the result.

// nop(userData)
Napi::Value IoUring::Nop(const Napi::CallbackInfo& info) {
  Args args(info);
  const double user_data = args.NumberAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return {info.Env(), ToJavaScript(info.Env(), Prepare(IORING_OP_NOP, -1, user_data, 0).result)};
}

// accept(fd, flags, userData): the accepted descriptor is close-on-exec.
Napi::Value IoUring::Accept(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const int flags = args.IntAt(1);
  const double user_data = args.NumberAt(2);
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_ACCEPT, fd, user_data, 0);
  if (prepared.sqe != nullptr) prepared.sqe->op_flags = static_cast<uint32_t>(flags | SOCK_CLOEXEC);
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

// connect(fd, sockaddr, userData)
Napi::Value IoUring::Connect(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const std::span<const uint8_t> address = args.BytesAt(1);
  const double user_data = args.NumberAt(2);
  if (args.ok() && address.size() > sizeof(sockaddr_storage)) args.Fail(1, "no longer than a sockaddr_storage");
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_CONNECT, fd, user_data, 0);
  if (prepared.sqe != nullptr) {
    prepared.operation->SetAddress(address);
    prepared.sqe->addr = reinterpret_cast<uintptr_t>(&prepared.operation->address);
    prepared.sqe->off = address.size();
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

namespace {

// Received bytes go into the caller's Uint8Array; if the argument is a number of bytes instead, into a new Buffer.
size_t ReceiveSizeAt(Args& args, const Napi::CallbackInfo& info, size_t index) {
  constexpr size_t kMaxSize = INT32_MAX;
  return info[index].IsNumber() ? args.SizeAt(index, kMaxSize) : std::min(args.BytesAt(index).size(), kMaxSize);
}

void SetTarget(Operation* operation, const Napi::CallbackInfo& info, size_t index) {
  if (operation != nullptr && !info[index].IsNumber())
    operation->target = Napi::Persistent(info[index].As<Napi::Object>());
}

// Bytes that the kernel counts but does not write must not show old heap memory (see ClearIfDiscarded).
void ClearMemory(const Operation& operation, int flags) {
  if (operation.size < kZeroedMemory) ClearIfDiscarded({operation.memory.get(), operation.size}, flags);
}

uint64_t AddressOf(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

}  // namespace

// recv(fd, buffer or size, flags, userData)
Napi::Value IoUring::Recv(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const size_t size = ReceiveSizeAt(args, info, 1);
  const int flags = args.IntAt(2);
  const double user_data = args.NumberAt(3);
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_RECV, fd, user_data, size);
  SetTarget(prepared.operation, info, 1);
  if (prepared.sqe != nullptr) {
    prepared.sqe->addr = AddressOf(prepared.operation->memory.get());
    prepared.sqe->len = static_cast<uint32_t>(size);
    prepared.sqe->op_flags = static_cast<uint32_t>(flags);
    ClearMemory(*prepared.operation, flags);
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

Result IoUring::SetSentBytes(Prepared prepared, std::span<const uint8_t> bytes) {
  if (prepared.sqe == nullptr) return prepared.result;
  if (!bytes.empty()) std::memcpy(prepared.operation->memory.get(), bytes.data(), bytes.size());
  prepared.sqe->addr = AddressOf(prepared.operation->memory.get());
  prepared.sqe->len = static_cast<uint32_t>(bytes.size());
  return prepared.result;
}

// send(fd, bytes, flags, userData): never raises SIGPIPE.
Napi::Value IoUring::Send(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const std::span<const uint8_t> bytes = args.BytesAt(1);
  const int flags = args.IntAt(2);
  const double user_data = args.NumberAt(3);
  if (args.ok() && bytes.size() > INT32_MAX) args.Fail(1, "less than 2 GiB");
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_SEND, fd, user_data, bytes.size());
  if (prepared.sqe != nullptr) prepared.sqe->op_flags = static_cast<uint32_t>(flags | MSG_NOSIGNAL);
  return {info.Env(), ToJavaScript(info.Env(), SetSentBytes(prepared, bytes))};
}

namespace {

// A msghdr of one iovec: the operation's memory, to or from its address.
void MakeMessage(Operation& operation, io_uring_sqe& sqe, size_t address_length) {
  operation.vector = {operation.memory.get(), operation.size};
  operation.message.msg_iov = &operation.vector;
  operation.message.msg_iovlen = 1;
  operation.message.msg_name = address_length == 0 ? nullptr : &operation.address;
  operation.message.msg_namelen = static_cast<socklen_t>(address_length);
  sqe.addr = AddressOf(&operation.message);
  sqe.len = 1;
}

}  // namespace

// recvmsg(fd, buffer or size, flags, userData): receives one datagram and the address of its sender.
Napi::Value IoUring::RecvMsg(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const size_t size = ReceiveSizeAt(args, info, 1);
  const int flags = args.IntAt(2);
  const double user_data = args.NumberAt(3);
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_RECVMSG, fd, user_data, size);
  SetTarget(prepared.operation, info, 1);
  if (prepared.sqe != nullptr) {
    MakeMessage(*prepared.operation, *prepared.sqe, sizeof(sockaddr_storage));
    ClearMemory(*prepared.operation, flags);
    prepared.sqe->op_flags = static_cast<uint32_t>(flags);
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

// sendmsg(fd, bytes, sockaddr, flags, userData): sends one datagram to an address; if that is empty, to the peer.
Napi::Value IoUring::SendMsg(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const std::span<const uint8_t> bytes = args.BytesAt(1);
  const std::span<const uint8_t> address = args.BytesAt(2);
  const int flags = args.IntAt(3);
  const double user_data = args.NumberAt(4);
  if (args.ok() && address.size() > sizeof(sockaddr_storage)) args.Fail(2, "no longer than a sockaddr_storage");
  if (args.ok() && bytes.size() > INT32_MAX) args.Fail(1, "less than 2 GiB");
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_SENDMSG, fd, user_data, bytes.size());
  if (prepared.sqe != nullptr) {
    if (!bytes.empty()) std::memcpy(prepared.operation->memory.get(), bytes.data(), bytes.size());
    prepared.operation->SetAddress(address);
    MakeMessage(*prepared.operation, *prepared.sqe, address.size());
    prepared.sqe->op_flags = static_cast<uint32_t>(flags | MSG_NOSIGNAL);
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

namespace {

// An offset in a file; -1: the current position of the file, which is the only one that a pipe has.
uint64_t PositionAt(Args& args, size_t index) {
  const double position = args.NumberAt(index);
  constexpr double kMaxPosition = 9007199254740991;
  if (args.ok() && !(position >= -1 && position <= kMaxPosition)) args.Fail(index, "a position");
  return args.ok() ? static_cast<uint64_t>(static_cast<int64_t>(position)) : 0;
}

}  // namespace

// read(fd, buffer or size, position, userData)
Napi::Value IoUring::Read(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const size_t size = ReceiveSizeAt(args, info, 1);
  const uint64_t position = PositionAt(args, 2);
  const double user_data = args.NumberAt(3);
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_READ, fd, user_data, size);
  SetTarget(prepared.operation, info, 1);
  if (prepared.sqe != nullptr) {
    prepared.sqe->addr = AddressOf(prepared.operation->memory.get());
    prepared.sqe->len = static_cast<uint32_t>(size);
    prepared.sqe->off = position;
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

// write(fd, bytes, position, userData)
Napi::Value IoUring::Write(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const std::span<const uint8_t> bytes = args.BytesAt(1);
  const uint64_t position = PositionAt(args, 2);
  const double user_data = args.NumberAt(3);
  if (args.ok() && bytes.size() > INT32_MAX) args.Fail(1, "less than 2 GiB");
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_WRITE, fd, user_data, bytes.size());
  if (prepared.sqe != nullptr) prepared.sqe->off = position;
  return {info.Env(), ToJavaScript(info.Env(), SetSentBytes(prepared, bytes))};
}

namespace {

// The kernel reads poll32_events as two halves, the lower one first (__io_uring_prep_poll_mask of liburing).
uint32_t PollEvents(int events) {
  const auto bits = static_cast<uint32_t>(events);
  if constexpr (std::endian::native == std::endian::big) return bits << 16 | bits >> 16;
  return bits;
}

}  // namespace

// pollAdd(fd, events, userData): completes once, with the poll(2) events that are ready.
Napi::Value IoUring::PollAdd(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const int events = args.IntAt(1);
  const double user_data = args.NumberAt(2);
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_POLL_ADD, fd, user_data, 0);
  if (prepared.sqe != nullptr) prepared.sqe->op_flags = PollEvents(events);
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

// timeout(ms, userData): completes with ETIME after that time.
Napi::Value IoUring::Timeout(const Napi::CallbackInfo& info) {
  Args args(info);
  const double milliseconds = args.TimeoutAt(0);
  const double user_data = args.NumberAt(1);
  if (!args.ok()) return info.Env().Undefined();
  const Prepared prepared = Prepare(IORING_OP_TIMEOUT, -1, user_data, 0);
  if (prepared.sqe != nullptr) {
    const SecondsAndNanoseconds split = SplitTimeout(std::max(milliseconds, 0.0), 1);
    prepared.operation->time = {split.seconds, split.nanoseconds};
    prepared.sqe->addr = AddressOf(&prepared.operation->time);
    prepared.sqe->len = 1;
  }
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

// cancel(target, userData): cancels the operation whose userData is `target`. Completes with 0, with ENOENT if there is
// no such operation, or with EALREADY if it can no longer be cancelled. The target always completes, too.
Napi::Value IoUring::Cancel(const Napi::CallbackInfo& info) {
  Args args(info);
  const double target = args.NumberAt(0);
  const double user_data = args.NumberAt(1);
  if (!args.ok()) return info.Env().Undefined();
  const auto found = by_user_data_.find(target);
  // If there is none: a user_data that no entry has, so that the kernel reports ENOENT.
  uint64_t target_data = UserData(Tag::kIgnored, kGenerationMask, UINT32_MAX);
  if (found != by_user_data_.end()) target_data = UserData(Tag::kOperation, generations_[found->second], found->second);
  const Prepared prepared = Prepare(IORING_OP_ASYNC_CANCEL, -1, user_data, 0);
  if (prepared.sqe != nullptr) prepared.sqe->addr = target_data;
  return {info.Env(), ToJavaScript(info.Env(), prepared.result)};
}

}  // namespace selectors::uring
