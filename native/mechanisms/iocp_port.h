// A completion port and its pending operations.
//
// Lifetime: from the start of an operation until its packet is dequeued, the kernel may access its OVERLAPPED and the
// memory that is read or written. Cancelling it, closing its socket, closing the port, collecting the JavaScript object
// or ending the thread do not change that. An operation is therefore a heap object with its own memory, owned by its
// port:
//
//   Start --failed at once: no packet follows--> freed
//     |
//   pending_ --packet dequeued--> fetched_ --TakePacket--> JavaScript's until the next wait, then freed
//     |
//     +--the port is closed and the packet does not arrive in time--> abandoned: never freed
//
// Threads (leader/followers): the owner's thread (Fetch) and threads of a wait beside Node's loop (WaitInThread)
// dequeue. One of them at a time, the leader, blocks in GetQueuedCompletionStatusEx; the others wait on a condition
// variable. The leader appends the packets to fetched_ in the order of the port, so that none is lost or reported
// twice. The owner has precedence: another leader resigns when the owner asks.
//
// Wake-ups, the end of a wait and the resignation of the leader are state in this object. A packet with an OVERLAPPED
// of its own (wake_packet) makes the leader check that state.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/descriptor.h"
#include "core/result.h"
#include "core/trace.h"
#include "core/wakeable.h"
#include "platform/platform.h"

namespace selectors {

// Owns a handle that CloseHandle closes. For sockets: UniqueFd.
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(HANDLE handle) : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  UniqueHandle& operator=(UniqueHandle&& other) noexcept;
  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  ~UniqueHandle() { Close().Ignore("the handle is closed or was invalid"); }

  HANDLE get() const { return handle_; }
  Result Close();

 private:
  HANDLE handle_ = nullptr;
};

struct Operation {
  enum class Kind { kAccept, kConnect, kReceive, kReceiveFrom, kSend, kRead, kWrite };

  OVERLAPPED overlapped{};
  Kind kind{};
  int64_t id = 0;
  HANDLE handle = nullptr;  // socket or file
  std::unique_ptr<uint8_t[]> bytes;
  size_t size = 0;
  sockaddr_storage address{};
  int address_length = sizeof(sockaddr_storage);
  DWORD flags = 0;       // of WSARecv and WSARecvFrom
  Fd accepting = kNoFd;  // the socket that becomes the connection
  UniqueFd accepted;     // the same socket, if the operation owns it
  UniqueHandle file;     // reopened for this operation alone
  bool cancelled = false;
  int injected = 0;  // not 0: a fault plan ends it with this error, and it was never started

  bool IsSocketOperation() const { return kind != Kind::kRead && kind != Kind::kWrite; }
  bool Receives() const { return kind == Kind::kReceive || kind == Kind::kReceiveFrom || kind == Kind::kRead; }
  // Allocates `bytes`. False: out of memory.
  bool Allocate(size_t length);
};

struct Packet {
  ULONG_PTR key = 0;
  DWORD bytes = 0;
  int error = 0;
  // Null for a posted packet, and for an operation that this port has not started.
  std::unique_ptr<Operation> operation;
  bool is_unexpected = false;
};

class Port final : public Wakeable {
 public:
  ~Port() override;

  // concurrency: threads that the kernel lets run at once; 0: the number of processors. reusable: takes over a retired
  // port with its associated handles, if there is one, and Close() retires the port. The keys of such ports are all 0.
  Result Open(DWORD concurrency, bool reusable);
  bool IsOpen() const { return port_ != nullptr; }

  // The packets of the handle's operations go to this port, with this key, until the handle is closed.
  Result Associate(HANDLE handle, ULONG_PTR key);
  bool Has(HANDLE handle) const;
  Result Post(ULONG_PTR key, DWORD bytes);

  // `start` makes the system call and returns its error or 0. If the result is an error, no packet follows. Fails if
  // the handle is not associated with this port (its packet would not arrive), and if an operation with this id is
  // pending.
  template <typename StartCall>
  Result Start(std::unique_ptr<Operation> operation, StartCall start) {
    Operation* const started = operation.get();
    const Result added = Add(std::move(operation));
    if (!added.ok()) return added;
    const int error = IsInstrumented() && Instrument(*started) ? 0 : start(*started);
    if (PacketFollows(*started, error)) return Result::Ok(0);
    Remove(*started);
    return Result::Error(error);
  }

  // CancelIoEx. The packet follows in any case. Succeeds even if the operation has completed and its packet is queued.
  // Fails with ERROR_NOT_FOUND if no pending operation has this id.
  Result Cancel(int64_t id);
  // CancelIoEx of all operations of this process on a handle. Fails with ERROR_NOT_FOUND if there is none.
  Result CancelAllOf(HANDLE handle);

  // For the owner's thread: waits until there is a packet or a wake-up, or until the timeout, and dequeues all packets
  // that are queued by then, up to kMaxEntries.
  Result Fetch(double timeout);
  // For the owner's thread: dequeues until the packets of all cancelled operations have arrived, or until the timeout.
  void FetchCancelled(double timeout);
  bool TakePacket(Packet* packet);
  // True if Signal was called since the last TakeWoken.
  bool TakeWoken() { return woken_.exchange(false); }

  // Cancels all operations and waits for their packets. Returns the number of operations whose packets have not
  // arrived: they are abandoned.
  size_t Close(double timeout);

  Result Signal() override;
  Result WaitInThread(double timeout, const std::atomic<bool>& ended) override;
  void EndWaitInThread() override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  static bool PacketFollows(const Operation& operation, int error);
  // Records the operation, and applies a fault plan. True: the packet with the error is queued, and the operation must
  // not be started.
  bool Instrument(Operation& operation);
  Result Add(std::unique_ptr<Operation> operation);
  void Remove(const Operation& operation);

  bool HasPacketOrWakeup() const { return !fetched_.empty() || woken_; }
  void BecomeLeader(Lock& lock);
  void Resign();
  Result Dequeue(Lock& lock, double timeout);
  void StorePacket(const OVERLAPPED_ENTRY& entry);
  void WakeLeader();
  Result CancelInKernel(Operation& operation);
  void CancelAll();
  size_t DropFetched();
  void AbandonPending();
  void DrainWakePackets();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  HANDLE port_ = nullptr;
  DWORD concurrency_ = 0;
  bool reusable_ = false;
  std::unordered_map<const OVERLAPPED*, std::unique_ptr<Operation>> pending_;
  std::unordered_map<int64_t, Operation*> by_id_;  // the pending operations
  size_t cancelled_ = 0;                           // number of pending operations that are cancelled
  std::unordered_map<HANDLE, ULONG_PTR> keys_;     // only keys other than 0
  std::deque<Packet> fetched_;
  std::atomic<bool> woken_ = false;
  bool has_leader_ = false;  // a thread blocks in GetQueuedCompletionStatusEx
  bool owner_wants_to_lead_ = false;
  bool closing_ = false;
  int beside_waits_ = 0;  // number of threads in WaitInThread
};

}  // namespace selectors
