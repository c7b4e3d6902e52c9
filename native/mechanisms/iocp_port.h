// A completion port, and the operations that the kernel carries out for it.
//
// THE RULE: from the moment it is started until its packet is dequeued, an operation is the kernel's, with its
// OVERLAPPED and with the memory that is read or written. Cancelling it, closing its socket, closing the port, dropping
// the JavaScript object, ending the thread: none of these ends that. So an operation is an object of its own on the
// heap, with memory of its own, owned by its port:
//
//   Start --(refused at once: no packet follows)--> gone
//     |
//   pending_ --packet dequeued--> fetched_ --TakePacket--> JavaScript's for one turn, then gone
//     |
//     +--the port is closed, and it does not come back in time--> lost: never freed
//
// Who dequeues: the owner's thread (Fetch), or one beside Node's loop (WaitInThread). One at a time leads, that is,
// sits in GetQueuedCompletionStatusEx; the others follow on a condition variable. Packets are put into fetched_ in the
// order in which the port gave them, so that none is lost or told twice, whoever took it. The owner has precedence: a
// leader steps down when it is asked to.
//
// Everything that is not a completion (wake-ups, the end of a wait, stepping down) is state in this object, plus a
// packet of its own that makes the leader look up. It is told from others by its OVERLAPPED.
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

// A handle of Windows' that CloseHandle closes; sockets are UniqueFd's.
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(HANDLE handle) : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  UniqueHandle& operator=(UniqueHandle&& other) noexcept;
  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  ~UniqueHandle() { Close().Ignore("the handle is gone"); }

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
  HANDLE handle = nullptr;  // what it is about
  std::unique_ptr<uint8_t[]> bytes;
  size_t size = 0;
  sockaddr_storage address{};
  int address_length = sizeof(sockaddr_storage);
  DWORD flags = 0;       // of WSARecv and WSARecvFrom
  Fd accepting = kNoFd;  // the socket that becomes the connection
  UniqueFd accepted;     // the same, where the operation owns it
  UniqueHandle file;     // opened for this operation alone
  bool cancelled = false;
  int injected = 0;  // not 0: a fault plan has ended it with this error, and the kernel never had it

  bool IsOfSocket() const { return kind != Kind::kRead && kind != Kind::kWrite; }
  bool Receives() const { return kind == Kind::kReceive || kind == Kind::kReceiveFrom || kind == Kind::kRead; }
  // False: there is no memory for it.
  bool Allocate(size_t length);
};

struct Packet {
  ULONG_PTR key = 0;
  DWORD bytes = 0;
  int error = 0;
  // Null: posted, or of an operation that is none of this port's.
  std::unique_ptr<Operation> operation;
  bool is_unexpected = false;
};

class Port final : public Wakeable {
 public:
  ~Port() override;

  // reusable: it may take over a port that was retired, with the handles that it has, and is retired itself when it is
  // closed. The keys of such ports are all 0.
  Result Open(DWORD concurrency, bool reusable);
  bool IsOpen() const { return port_ != nullptr; }

  // The packets of its operations come here from now on, with this key, for as long as it is open.
  Result Associate(HANDLE handle, ULONG_PTR key);
  bool Has(HANDLE handle) const;
  Result Post(ULONG_PTR key, DWORD bytes);

  // `start` makes the system call, and answers its error, 0 where there is none. A Result that is an error: no packet
  // comes. An operation on a handle that this port does not have is refused (its packet would never come), and one
  // whose id is under way.
  template <typename StartCall>
  Result Start(std::unique_ptr<Operation> operation, StartCall start) {
    Operation* const started = operation.get();
    const Result added = Add(std::move(operation));
    if (!added.ok()) return added;
    const int error = IsInstrumented() && ApplyFault(*started) ? 0 : start(*started);
    if (PacketFollows(*started, error)) return Result::Ok(0);
    Remove(*started);
    return Result::Error(error);
  }

  // CancelIoEx. Ok also where it is completed already, and its packet under way; ERROR_NOT_FOUND: there is none of this
  // id. The packet comes in any case.
  Result Cancel(int64_t id);
  // Of one handle, all of this process's. ERROR_NOT_FOUND: there is none.
  Result CancelAllOf(HANDLE handle);

  // The owner's: waits until there is something to take (nothing: the time is over), and fetches what there is.
  Result Fetch(double timeout);
  // The owner's: fetches until every operation that was cancelled has come back, or the time is over.
  void FetchCancelled(double timeout);
  bool TakePacket(Packet* packet);
  // Has Signal been called since the last time?
  bool TakeWoken() { return woken_.exchange(false); }

  // Cancels everything and waits for it. How many operations have not come back: they are lost.
  size_t Close(double timeout);

  Result Signal() override;
  Result WaitInThread(double timeout, const std::atomic<bool>& ended) override;
  void EndWaitInThread() override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  static bool PacketFollows(const Operation& operation, int error);
  // What a fault plan has for it. True: its packet is queued, and it must not be started.
  bool ApplyFault(Operation& operation);
  Result Add(std::unique_ptr<Operation> operation);
  void Remove(const Operation& operation);

  bool HasSomething() const { return !fetched_.empty() || woken_; }
  void Lead(Lock& lock);
  void StepDown();
  Result Dequeue(Lock& lock, double timeout);
  void Keep(const OVERLAPPED_ENTRY& entry);
  void LookUp();
  Result CancelInKernel(Operation& operation);
  void CancelAll();
  size_t DropFetched();
  void Lose();
  void Drain();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  HANDLE port_ = nullptr;
  DWORD concurrency_ = 0;
  bool reusable_ = false;
  std::unordered_map<const OVERLAPPED*, std::unique_ptr<Operation>> pending_;
  std::unordered_map<int64_t, Operation*> by_id_;  // of those pending
  size_t cancelled_ = 0;                           // how many of those pending
  std::unordered_map<HANDLE, ULONG_PTR> keys_;     // of handles that have another key than 0
  std::deque<Packet> fetched_;
  std::atomic<bool> woken_ = false;
  bool leading_ = false;      // somebody sits in the port
  bool owner_wants_ = false;  // to lead
  bool closing_ = false;
  int beside_ = 0;  // how many wait beside Node's loop
};

}  // namespace selectors
