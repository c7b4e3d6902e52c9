// A ring as JavaScript has it: its life (io_uring.cc), its operations (io_uring_operations.cc), and the streams of a
// loop (io_uring_streams.cc).
//
// Lifetime. An operation is owned by its ring from the moment it is prepared until its last completion is taken,
// whatever JavaScript does meanwhile. The memory that the kernel works in is the operation's own, too, and never
// JavaScript's, which can give an ArrayBuffer away at any time: what is sent is copied when it is prepared, what is
// received is copied when it is collected.
//
//   prepared --io_uring_enter--> submitted --completion without F_MORE--> done --completions()--> gone
//
// The one exception are a loop's sends with MSG_DONTWAIT: those are over when io_uring_enter returns.
#pragma once

#include <napi.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/args.h"
#include "core/outgoing.h"
#include "mechanisms/io_uring_ring.h"

namespace selectors::uring {

// What a completion belongs to: the highest bits of its user_data. Below: a generation of 28 bits, and 32 bits of the
// operation's slot, the stream's descriptor or the piece that is sent.
enum class Tag : uint64_t { kOperation, kIgnored, kWake, kAccept, kReceive, kFlush };
constexpr uint32_t kGenerationMask = (1U << 28) - 1;
constexpr uint64_t UserData(Tag tag, uint32_t generation, uint32_t low) {
  return static_cast<uint64_t>(tag) << 60 | static_cast<uint64_t>(generation & kGenerationMask) << 32 | low;
}
constexpr Tag TagOf(uint64_t user_data) { return static_cast<Tag>(user_data >> 60); }
constexpr uint32_t GenerationOf(uint64_t user_data) { return static_cast<uint32_t>(user_data >> 32) & kGenerationMask; }
constexpr uint32_t LowOf(uint64_t user_data) { return static_cast<uint32_t>(user_data); }

// Who is told of an operation's end: completions(), or a turn of the loop's, about one of its streams.
enum class Purpose : uint8_t { kCallers, kStreamSend, kStreamConnect };

constexpr uint64_t StreamKey(Fd fd, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
}

struct Operation {
  uint8_t opcode = 0;
  Purpose purpose = Purpose::kCallers;
  double user_data = 0;  // the caller's number
  Fd stream = kNoFd;     // of a stream's
  uint32_t stream_generation = 0;
  Memory memory;
  size_t size = 0;
  Napi::ObjectReference target;  // where received bytes are copied to; empty: they become a Buffer
  sockaddr_storage address{};
  msghdr message{};
  iovec vector{};
  kernel_timespec time{};

  // No longer than there is room for.
  void SetAddress(std::span<const uint8_t> bytes) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(&address));
  }
};

struct Record;

// For io_uring_streams.cc: what the numbers of a record mean, as exports.streamNumbers.
void ExportStreamNumbers(Napi::Env env, Napi::Object exports);

struct Done {
  std::unique_ptr<Operation> operation;
  int32_t res;
  uint32_t flags;
};

class IoUring : public Napi::ObjectWrap<IoUring> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit IoUring(const Napi::CallbackInfo& info) : Napi::ObjectWrap<IoUring>(info) {}
  ~IoUring() override;

 private:
  // io_uring.cc
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value About(const Napi::CallbackInfo& info);
  Napi::Value Supports(const Napi::CallbackInfo& info);
  Napi::Value RegisterEventFd(const Napi::CallbackInfo& info);
  Napi::Value Nop(const Napi::CallbackInfo& info);
  Napi::Value Accept(const Napi::CallbackInfo& info);
  Napi::Value Connect(const Napi::CallbackInfo& info);
  Napi::Value Recv(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  Napi::Value RecvMsg(const Napi::CallbackInfo& info);
  Napi::Value SendMsg(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value PollAdd(const Napi::CallbackInfo& info);
  Napi::Value Timeout(const Napi::CallbackInfo& info);
  Napi::Value Cancel(const Napi::CallbackInfo& info);
  Napi::Value Enter(const Napi::CallbackInfo& info);
  Napi::Value Woken(const Napi::CallbackInfo& info);
  Napi::Value Ready(const Napi::CallbackInfo& info);
  Napi::Value Completions(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  // io_uring_streams.cc
  Napi::Value OpenStreams(const Napi::CallbackInfo& info);
  Napi::Value WatchWake(const Napi::CallbackInfo& info);
  Napi::Value AcceptStream(const Napi::CallbackInfo& info);
  Napi::Value ConnectStream(const Napi::CallbackInfo& info);
  Napi::Value ReceiveStream(const Napi::CallbackInfo& info);
  Napi::Value SendStream(const Napi::CallbackInfo& info);
  Napi::Value CancelStream(const Napi::CallbackInfo& info);
  Napi::Value PeerOf(const Napi::CallbackInfo& info);
  Napi::Value CopyOfBuffer(const Napi::CallbackInfo& info);
  Napi::Value Flush(const Napi::CallbackInfo& info);
  Napi::Value Turn(const Napi::CallbackInfo& info);

  // An entry for an operation, which is in its slot then. Null, with the reason: no memory, or the kernel takes
  // nothing.
  struct Prepared {
    io_uring_sqe* sqe = nullptr;
    Operation* operation = nullptr;
    uint32_t slot = 0;
    Result result = Result::Ok(0);
  };
  io_uring_sqe* FreeSqe(Result* result);
  Prepared Prepare(uint8_t opcode, Fd fd, double user_data, size_t memory);
  // The same for a stream, which has one at a time.
  Prepared PrepareForStream(uint8_t opcode, Purpose purpose, Fd fd, uint32_t generation, size_t memory);
  Prepared PrepareOperation(uint8_t opcode, Fd fd, size_t memory);
  // An entry without an operation.
  Result PrepareTagged(uint8_t opcode, Fd fd, uint64_t user_data, io_uring_sqe** sqe);
  Result SendFrom(Prepared prepared, std::span<const uint8_t> bytes);
  // Takes what the kernel has completed, so that it has room for more.
  Result Drain(double patience = 0);
  void Take(const io_uring_cqe& cqe);
  bool IsForTurn(const io_uring_cqe& cqe) const;
  std::unique_ptr<Operation> Remove(uint64_t user_data);
  bool NextCompletion(io_uring_cqe* cqe);
  bool NextForTurn(io_uring_cqe* cqe);
  // Cancels everything and waits up to so many milliseconds for the kernel. How many have not come back.
  uint32_t Shut(double patience);
  void TakeAtEnd();
  void CancelAll();
  Result WatchWakeAgain();
  void RestoreWake();
  // The last turn that has told a receive of a descriptor, and as which record; kOfSeveral added: where in shares_.
  // Small, for there is one for each descriptor, and each is looked at in each turn.
  struct Told {
    uint32_t turn = 0;
    uint32_t at = 0;
  };
  // What one stream has received in this turn, where that was several times.
  struct Share {
    uint32_t bytes = 0;
    uint32_t chunks = 0;
    size_t record = 0;  // its last one
  };
  bool HasShare(const io_uring_cqe& cqe, std::span<Record> out, size_t count);
  bool HasShareLeft(const io_uring_cqe& cqe, std::span<Record> out, size_t count, Told* told);
  void TellDeferred(std::span<Record> out, size_t* count, std::span<uint8_t> pool, std::span<uint8_t>* room);
  void PrepareFlush(io_uring_sqe* sqe, const OutgoingPieces& pieces, size_t first);
  void Await(std::span<OutgoingPiece> outgoing, size_t begin, uint32_t batch);
  bool Tell(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* room);
  bool TellOfStream(Record* record);
  void TakeBuffer(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* room);
  Napi::Value ToDone(Napi::Env env, Done done);

  Ring ring_;
  // By slot. What is free is in `free_`.
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<uint32_t> generations_;
  std::vector<uint32_t> free_;
  // The caller's numbers, for prepCancel.
  std::unordered_multimap<double, uint32_t> by_user_data_;
  // Of each stream, by its descriptor and generation: its send or connect.
  std::unordered_map<uint64_t, uint32_t> by_stream_;
  // Entries whose last completion has not come.
  uint32_t outstanding_ = 0;
  std::deque<Done> done_;

  // Of a loop.
  std::shared_ptr<ProvidedBuffers> buffers_;
  // Completions that came while something else was looked for.
  std::deque<io_uring_cqe> backlog_;
  // Those of them that only a turn can tell.
  std::deque<io_uring_cqe> for_turn_;
  bool woken_ = false;
  // The wake descriptor is not watched: there was no entry for it.
  bool wake_is_lost_ = false;
  std::vector<Told> told_;  // at the index of the descriptor
  std::vector<Share> shares_;
  uint32_t turn_ = 0;
  uint32_t max_share_ = 0;
  // Receives beyond the share of their stream, in their order: for the next turns.
  std::deque<io_uring_cqe> deferred_;
  // Buffers that JavaScript sees until the next turn.
  std::vector<uint32_t> shown_;
  Fd wake_ = kNoFd;
  std::vector<msghdr> messages_;
  std::vector<iovec> vectors_;
};

}  // namespace selectors::uring
