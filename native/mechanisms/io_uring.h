// The class IoUring: a ring as JavaScript sees it. Its methods stand in five files:
//
//   io_uring.cc             opening, submitting, completions, closing
//   io_uring_operations.cc  one method per operation: accept, recv, send, …
//   io_uring_streams.cc     the operations of a proactor loop's streams
//   io_uring_turn.cc        turn(): submits, waits, reports what happened on the streams
//   io_uring_flush.cc       flush(): sends what a loop has queued
//
// io_uring_ring.h has the ring itself: the shared memory and the system calls.
//
// Lifetime. The ring owns an operation from its preparation until its last completion is taken, whatever JavaScript
// does meanwhile. The memory that the kernel reads or writes belongs to the operation, too, and never to JavaScript,
// which can detach an ArrayBuffer at any time: bytes to send are copied at preparation, received bytes are copied when
// JavaScript takes the completion.
//
//   prepared --io_uring_enter--> submitted --completion without F_MORE--> finished --completions()--> freed
//
// The one exception are the sends of flush() with MSG_DONTWAIT: they have completed when io_uring_enter returns.
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

// What a completion belongs to: the highest 4 bits of its user_data. Then 28 bits of a generation, then 32 bits: the
// slot of the operation, the descriptor of the stream, or the index of the first piece that is sent.
enum class Tag : uint64_t { kOperation, kIgnored, kWake, kAccept, kReceive, kFlush };
constexpr uint32_t kGenerationMask = (1U << 28) - 1;
constexpr uint64_t UserData(Tag tag, uint32_t generation, uint32_t low) {
  return static_cast<uint64_t>(tag) << 60 | static_cast<uint64_t>(generation & kGenerationMask) << 32 | low;
}
constexpr Tag TagOf(uint64_t user_data) { return static_cast<Tag>(user_data >> 60); }
constexpr uint32_t GenerationOf(uint64_t user_data) { return static_cast<uint32_t>(user_data >> 32) & kGenerationMask; }
constexpr uint32_t LowOf(uint64_t user_data) { return static_cast<uint32_t>(user_data); }

// Which call reports the end of an operation: completions() for the caller's, turn() for those of a loop's stream.
enum class Purpose : uint8_t { kCaller, kStreamSend, kStreamConnect };

constexpr uint64_t StreamKey(Fd fd, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
}

struct Operation {
  uint8_t opcode = 0;
  Purpose purpose = Purpose::kCaller;
  double user_data = 0;  // the caller's number; not the user_data of the entry
  Fd stream = kNoFd;     // the descriptor, for the operation of a stream
  uint32_t stream_generation = 0;
  Memory memory;
  size_t size = 0;
  Napi::ObjectReference target;  // a Uint8Array for the received bytes; empty: they become a new Buffer
  sockaddr_storage address{};
  msghdr message{};
  iovec vector{};
  kernel_timespec time{};

  // At most sizeof(sockaddr_storage) bytes.
  void SetAddress(std::span<const uint8_t> bytes) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(&address));
  }
};

struct Record;

// Sets exports.streamNumbers: the constants of a record (io_uring_records.h).
void ExportStreamNumbers(Napi::Env env, Napi::Object exports);

struct FinishedOperation {
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
  Napi::Value Enter(const Napi::CallbackInfo& info);
  Napi::Value Woken(const Napi::CallbackInfo& info);
  Napi::Value Ready(const Napi::CallbackInfo& info);
  Napi::Value Completions(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  // io_uring_operations.cc
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

  // io_uring_streams.cc
  Napi::Value OpenStreams(const Napi::CallbackInfo& info);
  Napi::Value AcceptStream(const Napi::CallbackInfo& info);
  Napi::Value ConnectStream(const Napi::CallbackInfo& info);
  Napi::Value ReceiveStream(const Napi::CallbackInfo& info);
  Napi::Value SendStream(const Napi::CallbackInfo& info);
  Napi::Value CancelStream(const Napi::CallbackInfo& info);
  Napi::Value PeerOf(const Napi::CallbackInfo& info);
  Napi::Value CopyOfBuffer(const Napi::CallbackInfo& info);

  // io_uring_turn.cc
  Napi::Value WatchWake(const Napi::CallbackInfo& info);
  Napi::Value Turn(const Napi::CallbackInfo& info);

  // io_uring_flush.cc
  Napi::Value Flush(const Napi::CallbackInfo& info);

  // A prepared operation and its entry, or nulls and the reason: out of memory, or the kernel accepts no entries now.
  struct Prepared {
    io_uring_sqe* sqe = nullptr;
    Operation* operation = nullptr;
    uint32_t slot = 0;
    Result result = Result::Ok(0);
  };
  // A free entry. Submits the queue first if it is full. Null, with the reason in `result`, if that fails.
  io_uring_sqe* GetSqe(Result* result);
  // Prepares an operation of the caller's, which completions() reports with `user_data`.
  Prepared Prepare(uint8_t opcode, Fd fd, double user_data, size_t memory);
  // Prepares an operation of a stream, which turn() reports. A stream has at most one at a time.
  Prepared PrepareForStream(uint8_t opcode, Purpose purpose, Fd fd, uint32_t generation, size_t memory);
  Prepared PrepareOperation(uint8_t opcode, Fd fd, size_t memory);
  // Prepares an entry without an operation. `user_data` identifies its completions.
  Result PrepareTagged(uint8_t opcode, Fd fd, uint64_t user_data, io_uring_sqe** sqe);
  // Copies `bytes` into the operation's memory and sets the entry to it.
  Result SetSentBytes(Prepared prepared, std::span<const uint8_t> bytes);
  // Submits the queue. If that fails with EBUSY, takes the completions to make room, and tries once more.
  Result SubmitAll(double timeout = 0);
  // Counts a completion. If it has an operation, that moves to finished_.
  void HandleCompletion(const io_uring_cqe& cqe);
  bool IsForTurn(const io_uring_cqe& cqe) const;
  // Null: no operation in this slot has this generation.
  std::unique_ptr<Operation> RemoveOperation(uint64_t user_data);
  bool NextCompletion(io_uring_cqe* cqe);
  Napi::Value ToJavaScriptCompletion(Napi::Env env, FinishedOperation finished);
  // Cancels all operations and waits at most `timeout` milliseconds for them, then closes the ring. Returns the number
  // of entries that have not completed.
  uint32_t CancelAndClose(double timeout);
  void DropCompletions();
  void CancelAll();

  // For turn().
  Result StartWakePoll();
  void RestartWakePoll();
  bool NextForTurn(io_uring_cqe* cqe);
  // The last turn that delivered a receive of this descriptor, and the index of its record. With kHasShare added: the
  // index in shares_. Small: there is one per descriptor, and each turn reads those of its completions.
  struct LastReceive {
    uint32_t turn = 0;
    uint32_t index = 0;
  };
  // What a stream has received in this turn. Only for streams that received more than once.
  struct Share {
    uint32_t bytes = 0;
    uint32_t chunks = 0;
    size_t last_record = 0;
  };
  bool MayDeliver(const io_uring_cqe& cqe, std::span<Record> out, size_t count);
  bool MayDeliverMore(const io_uring_cqe& cqe, std::span<Record> out, size_t count, LastReceive* last);
  void DeliverDeferred(std::span<Record> out, size_t* count, std::span<uint8_t> pool, std::span<uint8_t>* pool_rest);
  bool Deliver(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* pool_rest);
  bool DeliverFinished(Record* record);
  void DeliverBytes(const io_uring_cqe& cqe, Record* record, std::span<uint8_t> pool, std::span<uint8_t>* pool_rest);

  // For flush().
  void PrepareSend(io_uring_sqe* sqe, const OutgoingPieces& pieces, size_t first);
  void SubmitSends(std::span<OutgoingPiece> outgoing, size_t begin, uint32_t batch);

  Ring ring_;
  // Slots. The free ones are in free_slots_.
  std::vector<std::unique_ptr<Operation>> operations_;
  std::vector<uint32_t> generations_;
  std::vector<uint32_t> free_slots_;
  // Slots by the caller's numbers, for cancel().
  std::unordered_multimap<double, uint32_t> by_user_data_;
  // Slots by StreamKey: the stream's send or connect.
  std::unordered_map<uint64_t, uint32_t> by_stream_;
  // Number of entries whose last completion has not arrived.
  uint32_t outstanding_ = 0;
  // For completions().
  std::deque<FinishedOperation> finished_;

  // Null before openStreams().
  std::shared_ptr<ProvidedBuffers> buffers_;
  // Completions taken from the ring while another one was awaited; the next to handle.
  std::deque<io_uring_cqe> taken_cqes_;
  // Those that completions() found and only turn() can report.
  std::deque<io_uring_cqe> turn_cqes_;
  // The wake descriptor was readable.
  bool woken_ = false;
  // The wake descriptor is not polled: the queue had no entry free.
  bool needs_wake_poll_ = false;
  std::vector<LastReceive> last_receives_;  // by descriptor
  std::vector<Share> shares_;
  uint32_t turn_ = 0;
  // Bytes that one turn delivers to one stream, at most; its first chunk may be larger.
  uint32_t max_share_ = 0;
  // Receives beyond the share of their stream, in order: for the next turns.
  std::deque<io_uring_cqe> deferred_receives_;
  // Buffers that JavaScript may read until the next turn.
  std::vector<uint32_t> borrowed_buffers_;
  Fd wake_fd_ = kNoFd;
  std::vector<msghdr> messages_;
  std::vector<iovec> vectors_;
};

}  // namespace selectors::uring
