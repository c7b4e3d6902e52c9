// A set of sockets over IOCTL_AFD_POLL, which is one-shot: each poll completes once. The set makes level-triggered
// readiness of it:
//
//   to poll --Poll: IOCTL_AFD_POLL--> polled --its packet--> ready: reported, and again to poll in the next wait
//      ^                                |
//      +-------- other events ----------+--AFD_POLL_LOCAL_CLOSE, or the poll fails with an invalid handle--> removed
//
// So a wait polls only the sockets that the last one reported, and new ones: its cost does not depend on the number of
// sockets that stay quiet. A socket that is still ready is reported again, because its new poll completes at once.
//
// Stale packets. A poll that is no longer wanted (other events, unregistered) is cancelled, and the next one does not
// wait for its packet: that poll no longer refers to the socket, so its packet is dropped when it comes.
//
// Outdated packets. A poll completes when its socket becomes ready, and the packet stays in the port even if the bytes
// are read, or the client is accepted, before the next wait. Reported then, it would make a blocking recv or accept
// block. A wait therefore takes what is queued first, without waiting, and checks it by one WSAPoll; sockets that this
// does not confirm are polled again. Not checked: polls of this wait, the end of a stream, errors.
//
// Limit: between a report and the next wait a socket has no poll. If it is closed in that time without Remove(), and
// its number is given to another socket, the set watches that one.
//
// Threads: the owner's thread adds, removes and waits (Wait). Others wait beside Node's loop (WaitInThread): they take
// one packet, and only detect that there is something for the owner, who polls that socket again. One thread at a time
// is in GetQueuedCompletionStatusEx; the owner has precedence.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/multiplexer.h"
#include "core/result.h"
#include "core/wakeable.h"
#include "mechanisms/afd_port.h"

namespace selectors {

struct AfdSocket {
  Fd fd = kNoFd;
  Fd base = kNoFd;
  int32_t generation = 0;
  int events = 0;                 // kReadable, kWritable
  AfdPoll* pending = nullptr;     // the present poll; null: none
  std::unique_ptr<AfdPoll> idle;  // the last poll, for the next one
  bool is_to_poll = false;        // is it in AfdSet::to_poll_?
  size_t index = 0;               // there
};

class AfdSet final : public Wakeable {
 public:
  Result Open();

  // WSAENOTSOCK: closed, or no socket. ERROR_ALREADY_EXISTS.
  Result Add(Fd fd, int events, int32_t generation);
  // ERROR_NOT_FOUND: not added, or removed because it was closed.
  Result Change(Fd fd, int events);
  void Remove(Fd fd);
  // Is this registration of the socket still in the set? Not if the kernel has reported that the socket was closed.
  bool Has(Fd fd, int32_t generation);

  // As Multiplexer::Wait.
  Result Wait(double timeout, std::span<ReadyEvent> out);

  size_t pending();
  size_t handles();
  // As AfdPort::Close. No other call may be under way in the owner's thread.
  size_t Close(double timeout);

  // Ends the waits of the other threads only: a wait of the owner's is ended by a wake channel in the set.
  Result Signal() override;
  Result WaitInThread(double timeout, const std::atomic<bool>& is_ended) override;
  void EndWaitInThread() override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  void ToPoll(AfdSocket& socket);
  void NotToPoll(AfdSocket& socket);
  // Drops a pending poll: its packet will be stale.
  void Drop(AfdSocket& socket);
  void Erase(AfdSocket& socket);
  // Polls a socket, unless it is polled for the same events already.
  Result Poll(AfdSocket& socket);
  Result PollAll();
  // What a packet reports.
  struct Report {
    AfdSocket* socket = nullptr;  // null: nothing is ready
    int events = 0;
    bool may_be_outdated = false;
  };
  Report Completed(const OVERLAPPED_ENTRY& entry);
  // Writes those of `suspects_` that are ready to `out`, and returns their number.
  size_t CheckSuspects(std::span<ReadyEvent> out);
  // Unlocks while it waits.
  Result Dequeue(Lock& lock, std::span<OVERLAPPED_ENTRY> packets, double timeout);
  Result WaitOnce(Lock& lock, double timeout, std::span<ReadyEvent> out);
  void EndThreads();

  std::mutex mutex_;
  std::condition_variable changed_;
  AfdPort port_;
  std::unordered_map<Fd, std::unique_ptr<AfdSocket>> sockets_;
  std::vector<AfdSocket*> to_poll_;
  std::vector<AfdSocket*> suspects_;  // within WaitOnce: their packets may be outdated
  std::vector<PollFd> checks_;        // within CheckSuspects
  uint64_t wait_ = 0;                 // the number of the owner's present wait, or of the last one
  bool is_dequeuing_ = false;         // a thread is in GetQueuedCompletionStatusEx
  bool closing_ = false;
  int owner_waits_ = 0;
  int thread_waits_ = 0;
  uint64_t found_ = 0;  // number of packets that WaitInThread has found
};

}  // namespace selectors
