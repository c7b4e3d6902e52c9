// The operations of a proactor loop's streams: a multishot accept completes once per connection, a multishot receive
// once per chunk (io_uring_multishot(7)), into buffers that the kernel selects from a ring of provided buffers
// (io_uring_register(2), IORING_REGISTER_PBUF_RING). turn() in io_uring_turn.cc reports the completions.
//
// A stream is identified by its descriptor and a generation. The descriptor may be closed, and its number reused,
// before the last completion of its receive arrives, and that completion still owns a buffer (axboe/liburing#346).
//
// Limits: Linux 6.0 or later for the multishot receive. A receive fails with ENOBUFS if all buffers are in use.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "core/external_memory.h"
#include "core/syscall.h"
#include "core/transfer.h"
#include "core/wait.h"
#include "mechanisms/io_uring.h"
#include "mechanisms/io_uring_records.h"

namespace selectors::uring {
namespace {

constexpr uint32_t kMaxBuffers = 32768;
constexpr uint16_t kBufferGroup = 0;
// Milliseconds that the probe of a multishot receive waits while the kernel is out of memory.
constexpr double kProbeTimeout = 5000;
// Limits of one sendStream(). The caller sends the rest after its completion.
constexpr size_t kMaxCopiedBytes = 1 << 20;
constexpr size_t kMaxCopiedBuffers = 1024;

}  // namespace

// ------------------------------------------------------------------------------------------------------- opening

namespace {

// The provided buffers as JavaScript sees them. They are freed when neither the ring nor JavaScript uses them.
class ShownBuffers : public ExternalMemory {
 public:
  explicit ShownBuffers(std::shared_ptr<ProvidedBuffers> buffers) : buffers_(std::move(buffers)) {}
  void Free() override { buffers_.reset(); }
  void Keep() override { buffers_->Abandon(); }

 private:
  std::shared_ptr<ProvidedBuffers> buffers_;
};

}  // namespace

// openStreams(count, size): registers `count` buffers of `size` bytes; count is a power of two, at most 32768. Returns
// an ArrayBuffer over all of them, null if this program allows no ArrayBuffer over external memory, or a negative
// error: EINVAL if the kernel supports no provided buffers or no multishot receive.
Napi::Value IoUring::OpenStreams(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto count = static_cast<uint32_t>(args.SizeAt(0, kMaxBuffers));
  const auto size = static_cast<uint32_t>(args.SizeAt(1, 1 << 24));
  if (args.ok() && (count == 0 || (count & (count - 1)) != 0)) args.Fail(0, "a power of two");
  if (!args.ok()) return info.Env().Undefined();
  Result result = Result::Ok(0);
  auto buffers = std::make_shared<ProvidedBuffers>();
  if (!ring_.is_open() || buffers_ != nullptr) result = Result::Error(kInvalidArgument);
  if (result.ok()) result = buffers->Open(ring_, count, size);
  if (!result.ok()) return {info.Env(), ToJavaScript(info.Env(), result)};
  buffers_ = std::move(buffers);

  // Probe: a receive of descriptor -1 fails with EBADF if the kernel knows the flag, with EINVAL if not.
  io_uring_sqe* sqe = nullptr;
  const uint64_t probe = UserData(Tag::kIgnored, 1, 0);
  result = PrepareTagged(IORING_OP_RECV, -1, probe, &sqe);
  if (!result.ok()) return {info.Env(), ToJavaScript(info.Env(), result)};
  sqe->flags = IOSQE_BUFFER_SELECT;
  sqe->ioprio = IORING_RECV_MULTISHOT;
  const double deadline = MonotonicMilliseconds() + kProbeTimeout;
  for (bool is_answered = false; !is_answered;) {
    Result entered = ring_.Enter(1, kProbeTimeout);
    // EBUSY: the completion queue has overflowed; its completions are taken below.
    if (!entered.ok() && entered.error() == EBUSY) entered = Result::Ok(0);
    if (entered.ok() && MonotonicMilliseconds() > deadline) entered = Result::Error(kWouldBlock);
    if (!entered.ok()) return {info.Env(), ToJavaScript(info.Env(), entered)};
    for (io_uring_cqe cqe; ring_.Pop(&cqe);) {
      if (cqe.user_data != probe) {
        taken_cqes_.push_back(cqe);
        continue;
      }
      --outstanding_;
      is_answered = true;
      if (cqe.res == -kInvalidArgument) return Napi::Number::New(info.Env(), cqe.res);
    }
  }

  napi_value buffer = nullptr;
  if (CreateExternalArrayBuffer(info.Env(), buffers_->all(), std::make_unique<ShownBuffers>(buffers_), &buffer) !=
      napi_ok)
    return info.Env().Null();
  return {info.Env(), buffer};
}

// ------------------------------------------------------------------------------------------------------- streams

// Each method returns 0 or a negative error, unless its comment describes another value.

// acceptStream(fd, generation, multishot, nonBlocking): the connections are close-on-exec.
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

// receiveStream(fd, generation, multishot): receives until the end of the stream, an error, ENOBUFS (no buffer is free)
// or cancelStream(). Not multishot: receives once.
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

// sendStream(fd, generation, buffers): sends a copy of the bytes when the socket has room. Returns the number of bytes
// copied, which may be less than all, or a negative error.
Napi::Value IoUring::SendStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::vector<napi_value> buffers = ElementsOf(args, 2, kMaxCopiedBuffers);
  const Fd fd = args.FdAt(0);
  const auto generation = static_cast<uint32_t>(args.SizeAt(1, kGenerationMask));
  if (!args.ok()) return info.Env().Undefined();
  size_t size = 0;
  for (napi_value buffer : buffers) size += MemoryOf(info.Env(), buffer).size();
  size = std::min(size, kMaxCopiedBytes);
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

// cancelStream(flags, fd, generation): cancels the stream's operations that `flags` selects: RECEIVED, ACCEPTED, SENT
// or CONNECTED (the last two mean either).
Napi::Value IoUring::CancelStream(const Napi::CallbackInfo& info) {
  Args args(info);
  const int flags = args.IntAt(0);
  const Fd fd = args.FdAt(1);
  const auto generation = static_cast<uint32_t>(args.SizeAt(2, kGenerationMask));
  if (!args.ok()) return info.Env().Undefined();
  const auto low = static_cast<uint32_t>(fd);
  std::vector<uint64_t> targets;
  if ((flags & kReceived) != 0) targets.push_back(UserData(Tag::kReceive, generation, low));
  if ((flags & kAccepted) != 0) targets.push_back(UserData(Tag::kAccept, generation, low));
  if ((flags & (kSent | kConnected)) != 0) {
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

// peerOf(fd, out): writes the sockaddr of the peer. Returns its length, or a negative error. Unlike getpeername(2), it
// works for a connection that was reset meanwhile; a multishot accept does not report the peer.
Napi::Value IoUring::PeerOf(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> out = args.BytesAt(1);
  if (args.ok() && out.size() < sizeof(sockaddr_storage)) args.Fail(1, "room for a sockaddr_storage");
  if (!args.ok()) return info.Env().Undefined();
  socklen_t length = sizeof(sockaddr_storage);
  Result result = Call<::getpeername>(fd, reinterpret_cast<sockaddr*>(out.data()), &length);
  // SO_PEERNAME fails if the length is more than the address has, and truncates if it is less: the longest first.
  for (const size_t size : {sizeof(sockaddr_in6), sizeof(sockaddr_in)}) {
    if (result.ok()) break;
    length = static_cast<socklen_t>(size);
    result = Call<::getsockopt>(fd, SOL_SOCKET, SO_PEERNAME, static_cast<void*>(out.data()), &length);
  }
  if (result.ok()) result = ClampLength(out.size(), Result::Ok(static_cast<int64_t>(length)));
  return {info.Env(), ToJavaScript(info.Env(), result)};
}

// copyOfBuffer(buffer, length): returns a Buffer with a copy of the first bytes of a provided buffer, for a program
// that has no ArrayBuffer over them.
Napi::Value IoUring::CopyOfBuffer(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto buffer = static_cast<uint32_t>(args.SizeAt(0, kMaxBuffers));
  const std::span<const uint8_t> bytes = buffers_ == nullptr ? std::span<uint8_t>() : buffers_->At(buffer);
  const size_t length = args.SizeAt(1, bytes.size());
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), length);
}

}  // namespace selectors::uring
