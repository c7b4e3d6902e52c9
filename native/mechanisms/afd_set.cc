// See afd_set.h.
#include "mechanisms/afd_set.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/wait.h"

namespace selectors {
namespace {

// Packets per call, in 16 KiB of the stack. If more are ready, the next calls report the others first: the port's queue
// is first in, first out, and polls that are started again come last.
constexpr size_t kMaxAfdPackets = 512;

constexpr LONG kStatusCancelled = static_cast<LONG>(0xC0000120);

constexpr const char* kPolledAgain = "the next wait polls again, and fails with the same error";

// Not AFD_POLL_CONNECT, which comes with each event of a connected socket, and not AFD_POLL_RECEIVE_EXPEDITED:
// out-of-band data does not make a socket readable.
ULONG AfdEventsOf(int events) {
  ULONG wanted = kAfdAbort | kAfdConnectFail | kAfdLocalClose;
  if ((events & kReadable) != 0) wanted |= kAfdReceive | kAfdAccept | kAfdDisconnect;
  if ((events & kWritable) != 0) wanted |= kAfdSend;
  return wanted;
}

// A reset and a failed connect are both readable and writable.
int EventsOf(ULONG reported) {
  constexpr ULONG kErrors = kAfdAbort | kAfdConnectFail;
  return ((reported & (kAfdReceive | kAfdAccept | kAfdDisconnect | kErrors)) != 0 ? kReadable : 0) |
         ((reported & (kAfdSend | kErrors)) != 0 ? kWritable : 0);
}

ReadyEvent RecordOf(const AfdSocket& socket, int events) {
  ReadyEvent record{};
  record.fd = static_cast<int32_t>(socket.fd);
  record.generation = socket.generation;
  record.events = events;
  return record;
}

}  // namespace

Result AfdSet::Open() {
  const Lock lock(mutex_);
  return port_.Open();
}

// ------------------------------------------------------------------------------------------------------- the sockets

Result AfdSet::Add(Fd fd, int events, int32_t generation) {
  const Lock lock(mutex_);
  if (!port_.IsOpen()) return Result::Error(ERROR_INVALID_HANDLE);
  if (sockets_.contains(fd)) return Result::Error(ERROR_ALREADY_EXISTS);
  const Result base = AfdPort::BaseSocket(fd);
  if (!base.ok()) return base;
  auto added = std::make_unique<AfdSocket>();
  AfdSocket& socket = *added;
  socket.fd = fd;
  socket.base = static_cast<Fd>(base.value());
  socket.generation = generation;
  socket.events = events;
  sockets_.emplace(fd, std::move(added));
  ToPoll(socket);
  // A wait under way in another thread gets the packet, too.
  if (thread_waits_ > 0) PollAll().Ignore(kPolledAgain);
  return Result::Ok(0);
}

Result AfdSet::Change(Fd fd, int events) {
  const Lock lock(mutex_);
  const auto found = sockets_.find(fd);
  if (found == sockets_.end()) return Result::Error(ERROR_NOT_FOUND);
  AfdSocket& socket = *found->second;
  socket.events = events;
  ToPoll(socket);
  if (thread_waits_ > 0) PollAll().Ignore(kPolledAgain);
  return Result::Ok(0);
}

void AfdSet::Remove(Fd fd) {
  const Lock lock(mutex_);
  const auto found = sockets_.find(fd);
  if (found != sockets_.end()) Erase(*found->second);
}

bool AfdSet::Has(Fd fd, int32_t generation) {
  const Lock lock(mutex_);
  const auto found = sockets_.find(fd);
  return found != sockets_.end() && found->second->generation == generation;
}

void AfdSet::ToPoll(AfdSocket& socket) {
  if (socket.is_to_poll) return;
  socket.is_to_poll = true;
  socket.index = to_poll_.size();
  to_poll_.push_back(&socket);
}

void AfdSet::NotToPoll(AfdSocket& socket) {
  if (!socket.is_to_poll) return;
  socket.is_to_poll = false;
  to_poll_[socket.index] = to_poll_.back();
  to_poll_[socket.index]->index = socket.index;
  to_poll_.pop_back();
}

void AfdSet::Drop(AfdSocket& socket) {
  if (socket.pending == nullptr) return;
  socket.pending->socket = nullptr;
  AfdPort::Cancel(*socket.pending).Ignore("it has completed: its packet is queued, and stale");
  socket.pending = nullptr;
}

void AfdSet::Erase(AfdSocket& socket) {
  Drop(socket);
  NotToPoll(socket);
  sockets_.erase(socket.fd);
}

Result AfdSet::Poll(AfdSocket& socket) {
  const ULONG wanted = AfdEventsOf(socket.events);
  if (socket.pending != nullptr) {
    if (socket.pending->info_events == wanted) return Result::Ok(0);
    Drop(socket);
  }
  auto poll = socket.idle != nullptr ? std::move(socket.idle) : std::make_unique<AfdPoll>();
  AfdPoll* const started = poll.get();
  started->socket = &socket;
  started->info_events = wanted;
  started->wait = wait_;
  const Result result = port_.Start(std::move(poll), socket.base, wanted);
  if (result.ok()) socket.pending = started;
  return result;
}

// Removes those that are closed. Stops at the first other error: the next wait polls the sockets that are left.
Result AfdSet::PollAll() {
  size_t done = 0;
  Result result = Result::Ok(0);
  for (; done < to_poll_.size(); ++done) {
    AfdSocket& socket = *to_poll_[done];
    result = Poll(socket);
    const bool is_closed = result.error() == ERROR_INVALID_HANDLE || result.error() == WSAENOTSOCK;
    if (!result.ok() && !is_closed) break;
    socket.is_to_poll = false;
    if (is_closed) Erase(socket);
  }
  to_poll_.erase(to_poll_.begin(), to_poll_.begin() + static_cast<std::ptrdiff_t>(done));
  for (size_t i = 0; i < to_poll_.size(); ++i) to_poll_[i]->index = i;
  return to_poll_.empty() ? Result::Ok(0) : result;
}

// -------------------------------------------------------------------------------------------------------- the waits

AfdSet::Report AfdSet::Completed(const OVERLAPPED_ENTRY& entry) {
  std::unique_ptr<AfdPoll> poll = port_.Take(entry);
  if (poll == nullptr || poll->socket == nullptr) return {};
  AfdSocket& socket = *poll->socket;
  const AfdPollHandle& handle = poll->info.handles[0];
  const auto status = static_cast<LONG>(poll->overlapped.Internal);
  const bool has_events = status >= 0 && poll->info.number_of_handles > 0;
  const ULONG reported = has_events ? handle.events : 0;
  const bool is_of_this_wait = poll->wait == wait_;
  socket.pending = nullptr;
  socket.idle = std::move(poll);
  if ((reported & kAfdLocalClose) != 0) {
    Erase(socket);
    return {};
  }
  ToPoll(socket);
  // Cancelled by others, such as the end of the thread that has started it: it is polled again. Any other failure is
  // reported as an error of the socket is: the call that follows has the reason.
  const bool has_failed = status < 0 && status != kStatusCancelled;
  const int events = (has_failed ? kReadable | kWritable : EventsOf(reported)) & socket.events;
  if (events == 0) return {};
  const bool can_pass = !has_failed && (reported & (kAfdDisconnect | kAfdAbort | kAfdConnectFail)) == 0;
  return {&socket, events, can_pass && !is_of_this_wait};
}

size_t AfdSet::CheckSuspects(std::span<ReadyEvent> out) {
  checks_.clear();
  for (const AfdSocket* const socket : suspects_) {
    const int events =
        ((socket->events & kReadable) != 0 ? POLLRDNORM : 0) | ((socket->events & kWritable) != 0 ? POLLWRNORM : 0);
    checks_.push_back({socket->fd, static_cast<short>(events), 0});
  }
  PollFds(checks_.data(), checks_.size(), 0).Ignore("all are polled again");
  size_t count = 0;
  for (size_t i = 0; i < checks_.size(); ++i) {
    const int revents = checks_[i].revents;
    // After a hang-up, an error or a close, the poll that follows has the exact events.
    if (revents == 0 || (revents & ~(POLLRDNORM | POLLWRNORM)) != 0) continue;
    const int events = ((revents & POLLRDNORM) != 0 ? kReadable : 0) | ((revents & POLLWRNORM) != 0 ? kWritable : 0);
    out[count++] = RecordOf(*suspects_[i], events);
  }
  return count;
}

Result AfdSet::Dequeue(Lock& lock, std::span<OVERLAPPED_ENTRY> packets, double timeout) {
  is_dequeuing_ = true;
  lock.unlock();
  const Result dequeued = port_.Dequeue(packets, timeout);
  lock.lock();
  is_dequeuing_ = false;
  changed_.notify_all();
  return dequeued;
}

// Makes the other threads check whether their waits are over.
void AfdSet::EndThreads() {
  changed_.notify_all();
  if (is_dequeuing_) port_.Wake().Ignore("no memory for a packet: the wait ends with the next one");
}

Result AfdSet::Wait(double timeout, std::span<ReadyEvent> out) {
  Lock lock(mutex_);
  if (out.empty()) return Result::Error(ERROR_INVALID_PARAMETER);
  ++owner_waits_;
  ++wait_;
  if (thread_waits_ > 0) EndThreads();
  changed_.wait(lock, [this] { return !is_dequeuing_; });
  const Result result = selectors::Wait(timeout, [&](double remaining) { return WaitOnce(lock, remaining, out); });
  --owner_waits_;
  changed_.notify_all();
  return result;
}

Result AfdSet::WaitOnce(Lock& lock, double timeout, std::span<ReadyEvent> out) {
  OVERLAPPED_ENTRY packets[kMaxAfdPackets];
  const auto room = std::span(packets).first(std::min(out.size(), kMaxAfdPackets));
  for (double remaining = timeout;; remaining = 0) {
    if (!port_.IsOpen() || closing_) return Result::Error(ERROR_INVALID_HANDLE);
    const Result polled = PollAll();
    if (!polled.ok()) return polled;
    // What is queued already may be outdated. What comes afterwards is not.
    Result dequeued = Dequeue(lock, room, 0);
    const bool was_queued = dequeued.value() > 0;
    if (dequeued.ok() && !was_queued && remaining != 0) dequeued = Dequeue(lock, room, remaining);
    if (!dequeued.ok()) return dequeued;
    size_t count = 0;
    suspects_.clear();
    for (size_t i = 0; static_cast<int64_t>(i) < dequeued.value(); ++i) {
      const Report report = Completed(packets[i]);
      if (report.socket == nullptr) continue;
      if (was_queued && report.may_be_outdated)
        suspects_.push_back(report.socket);
      else
        out[count++] = RecordOf(*report.socket, report.events);
    }
    if (!suspects_.empty()) {
      // They come first, as in the queue: the caller may handle a part only.
      const size_t confirmed = CheckSuspects(out.subspan(count));
      std::rotate(&out[0], &out[0] + count, &out[0] + count + confirmed);
      count += confirmed;
    }
    // Stale or outdated packets only: behind them, and behind the polls that follow from them, may be others.
    if (count > 0 || dequeued.value() == 0) return Result::Ok(static_cast<int64_t>(count));
  }
}

Result AfdSet::WaitInThread(double timeout, const std::atomic<bool>& is_ended) {
  constexpr double kMaxSlice = 60'000;  // milliseconds; a much longer time overflows in wait_for
  Lock lock(mutex_);
  ++thread_waits_;
  const uint64_t found = found_;
  const auto is_over = [&] { return is_ended || closing_ || !port_.IsOpen() || owner_waits_ > 0 || found_ != found; };
  const Result result = selectors::Wait(timeout, [&](double remaining) {
    if (is_over()) return Result::Ok(1);
    if (is_dequeuing_) {
      const double slice = remaining < 0 ? kMaxSlice : std::min(remaining, kMaxSlice);
      changed_.wait_for(lock, std::chrono::duration<double, std::milli>(slice),
                        [&] { return is_over() || !is_dequeuing_; });
      return Result::Ok(is_over() ? 1 : 0);
    }
    const Result polled = PollAll();
    if (!polled.ok()) return polled;
    OVERLAPPED_ENTRY entry;
    const Result dequeued = Dequeue(lock, std::span(&entry, 1), remaining);
    if (!dequeued.ok()) return dequeued;
    if (dequeued.value() > 0 && Completed(entry).socket != nullptr) ++found_;
    return Result::Ok(is_over() ? 1 : 0);
  });
  --thread_waits_;
  changed_.notify_all();
  return result.ok() ? Result::Ok(0) : result;
}

Result AfdSet::Signal() {
  const Lock lock(mutex_);
  ++found_;
  if (owner_waits_ == 0) EndThreads();
  return Result::Ok(0);
}

void AfdSet::EndWaitInThread() {
  const Lock lock(mutex_);
  if (owner_waits_ == 0) EndThreads();
}

// ---------------------------------------------------------------------------------------------------------- the end

size_t AfdSet::pending() {
  const Lock lock(mutex_);
  return port_.pending();
}

size_t AfdSet::handles() {
  const Lock lock(mutex_);
  return port_.handles();
}

size_t AfdSet::Close(double timeout) {
  Lock lock(mutex_);
  closing_ = true;
  EndThreads();
  changed_.wait(lock, [this] { return thread_waits_ == 0 && owner_waits_ == 0; });
  to_poll_.clear();
  sockets_.clear();
  return port_.Close(timeout);
}

}  // namespace selectors
