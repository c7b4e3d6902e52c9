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

#include "core/external_memory.h"
#include "core/syscall.h"
#include "core/transfer.h"
#include "core/wait.h"
#include "mechanisms/io_uring.h"
#include "mechanisms/io_uring_records.h"

namespace selectors::uring {
namespace {

constexpr uint32_t kMostBuffers = 32768;
constexpr uint16_t kBufferGroup = 0;
// How long a kernel that has no memory is asked what it can do. Milliseconds.
constexpr double kPatience = 5000;
// What one waiting send copies at the most; the rest follows when that is sent.
constexpr size_t kMostWaiting = 1 << 20;
constexpr size_t kMostWaitingPieces = 1024;

}  // namespace

// ------------------------------------------------------------------------------------------------------- opening

namespace {

// The provided buffers as JavaScript sees them. Neither the ring nor JavaScript frees them under the other.
class ShownBuffers : public ExternalMemory {
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
  if (CreateExternalArrayBuffer(info.Env(), buffers_->all(), std::make_unique<ShownBuffers>(buffers_), &buffer) !=
      napi_ok)
    return info.Env().Null();
  return {info.Env(), buffer};
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
  if (result.ok()) result = ClampLength(out.size(), Result::Ok(static_cast<int64_t>(length)));
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

}  // namespace selectors::uring
