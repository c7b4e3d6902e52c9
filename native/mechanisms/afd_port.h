// Polls of sockets by IOCTL_AFD_POLL, whose packets come to a completion port of their own. One thread at a time uses
// an AfdPort, except for Dequeue and Wake.
//
// Lifetime: from the start of a poll until its packet is dequeued, the kernel may write to its OVERLAPPED and its
// AfdPollInfo. Cancelling it, closing its socket, the device or the port, collecting the JavaScript object or ending
// the thread do not change that. A poll is therefore a heap object that its port owns:
//
//   Start --failed at once: no packet follows--> freed
//     |
//   pending_ --packet dequeued--> Take: the caller's
//     |
//     +--the port is closed and the packet does not arrive in time--> abandoned: never freed
//
// The polls go through handles of the device \Device\Afd, at most kPollsPerDevice at a time through one, as in wepoll
// and mio: the pending requests of a handle are a list, which the kernel searches for each one that is cancelled.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/result.h"
#include "mechanisms/afd_calls.h"
#include "platform/platform.h"

namespace selectors {

// A handle of \Device\Afd without a socket: it can poll any socket.
struct AfdDevice {
  HANDLE handle = nullptr;
  size_t polls = 0;  // pending
};

class AfdPort {
 public:
  AfdPort() = default;
  AfdPort(const AfdPort&) = delete;
  AfdPort& operator=(const AfdPort&) = delete;
  ~AfdPort() { Close(0); }

  // Opens the port and the first device.
  Result Open();
  bool IsOpen() const { return port_ != nullptr; }

  // The socket below layered service providers, which AFD knows. WSAENOTSOCK: closed, or no socket.
  static Result BaseSocket(Fd fd);

  // Starts a poll of a base socket; the poll is freed if it fails. On success a packet follows, also if the socket is
  // ready already. ERROR_INVALID_HANDLE: the socket is closed.
  Result Start(std::unique_ptr<AfdPoll> poll, Fd base, ULONG events);
  // CancelIoEx of a pending poll. Its packet follows in any case.
  static Result Cancel(AfdPoll& poll);
  // GetQueuedCompletionStatusEx; milliseconds: negative: no timeout. The number of packets; 0 after the timeout.
  Result Dequeue(std::span<OVERLAPPED_ENTRY> packets, double timeout) const;
  // Ends a Dequeue, now or later. Any thread.
  Result Wake() const;
  // The poll of a dequeued packet; null: Wake's packet. Once per packet.
  std::unique_ptr<AfdPoll> Take(const OVERLAPPED_ENTRY& entry);

  // The number of polls whose packets were not taken.
  size_t pending() const { return pending_.size(); }
  // The number of open handles: the port and the devices.
  size_t handles() const { return port_ == nullptr ? 0 : 1 + devices_.size(); }

  // Cancels all polls, waits at most `timeout` milliseconds for their packets, and closes the devices and the port.
  // Returns the number of polls whose packets have not arrived: they are abandoned.
  size_t Close(double timeout);

 private:
  static constexpr size_t kPollsPerDevice = 32;

  Result OpenDevice();
  void Remove(const AfdPoll& poll, std::unique_ptr<AfdPoll>* removed);

  HANDLE port_ = nullptr;
  std::vector<std::unique_ptr<AfdDevice>> devices_;
  std::vector<AfdDevice*> with_room_;  // fewer than kPollsPerDevice polls
  std::vector<std::unique_ptr<AfdPoll>> pending_;
};

}  // namespace selectors
