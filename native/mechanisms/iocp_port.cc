#include "mechanisms/iocp_port.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <vector>

#include "core/wait.h"
#include "mechanisms/iocp_calls.h"
#include "platform/win_ports.h"

namespace selectors {
namespace {

// Packets a call. On the stack: 4 KiB.
constexpr ULONG kMaxEntries = 128;

// By its address the packets are known that make a leader look up: never another object's, since this one is never
// gone.
OVERLAPPED look_up{};

// What it was that failed, from its status alone: for a socket whose number is no socket any more, of which Winsock
// says nothing.
int ErrorOfStatus(const OVERLAPPED& overlapped) {
  using Translate = ULONG(WINAPI*)(LONG status);
  static const auto translate = reinterpret_cast<Translate>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlNtStatusToDosError")));
  return translate == nullptr ? ERROR_OPERATION_ABORTED
                              : static_cast<int>(translate(static_cast<LONG>(overlapped.Internal)));
}

// Of a completed operation. The port itself says ERROR_NETNAME_DELETED (64) where a socket was reset; Winsock, asked
// afterwards, says WSAECONNRESET.
int ErrorOf(Operation& operation) {
  if (operation.injected != 0) return operation.injected;
  constexpr ULONG_PTR kSuccess = 0;  // STATUS_SUCCESS
  if (operation.overlapped.Internal == kSuccess) return 0;
  DWORD bytes = 0;
  if (!operation.IsOfSocket()) {
    return Call<::GetOverlappedResult>(operation.handle, &operation.overlapped, &bytes, FALSE).error();
  }
  DWORD flags = 0;
  const auto socket = reinterpret_cast<Fd>(operation.handle);
  const int error = Call<::WSAGetOverlappedResult>(socket, &operation.overlapped, &bytes, FALSE, &flags).error();
  return error == WSAENOTSOCK ? ErrorOfStatus(operation.overlapped) : error;
}

// Until this is said, a socket that AcceptEx or ConnectEx has connected knows neither its peer nor how to shut down.
int UpdateContext(const Operation& operation) {
  const auto socket = reinterpret_cast<Fd>(operation.handle);
  if (operation.kind == Operation::Kind::kConnect) {
    return Call<::setsockopt>(socket, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, static_cast<const char*>(nullptr), 0)
        .error();
  }
  return Call<::setsockopt>(operation.accepting, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                            reinterpret_cast<const char*>(&socket), static_cast<int>(sizeof socket))
      .error();
}

int Conclude(Operation& operation) {
  const int error = ErrorOf(operation);
  const bool connects = operation.kind == Operation::Kind::kAccept || operation.kind == Operation::Kind::kConnect;
  return error == 0 && connects ? UpdateContext(operation) : error;
}

}  // namespace

UniqueHandle& UniqueHandle::operator=(UniqueHandle&& other) noexcept {
  if (this != &other) {
    Close().Ignore("the old handle is gone");
    handle_ = other.handle_;
    other.handle_ = nullptr;
  }
  return *this;
}

Result UniqueHandle::Close() {
  if (handle_ == nullptr) return Result::Ok(0);
  ForgetPortOf(handle_);
  const Result closed = StatusOf(Call<::CloseHandle>(handle_));
  handle_ = nullptr;
  return closed;
}

bool Operation::Allocate(size_t length) {
  // Not zeroed: JavaScript sees only what was received.
  bytes.reset(new (std::nothrow) uint8_t[std::max<size_t>(length, 1)]);
  size = length;
  return bytes != nullptr;
}

// ---------------------------------------------------------------------------------------------------- the port's life

Port::~Port() { Close(0); }

Result Port::Open(DWORD concurrency, bool reusable) {
  const Lock lock(mutex_);
  concurrency_ = concurrency;
  reusable_ = reusable;
  if (reusable) port_ = TakeRetiredPort(concurrency);
  if (port_ != nullptr) return Result::Ok(0);
  const Result made =
      Call<::CreateIoCompletionPort>(INVALID_HANDLE_VALUE, static_cast<HANDLE>(nullptr), ULONG_PTR{0}, concurrency);
  if (made.ok()) port_ = reinterpret_cast<HANDLE>(static_cast<intptr_t>(made.value()));
  return StatusOf(made);
}

size_t Port::Close(double timeout) {
  {
    const Lock lock(mutex_);
    if (port_ == nullptr) return 0;
    closing_ = true;
    LookUp();
    changed_.notify_all();
  }
  CancelAll();
  const double deadline = MonotonicMilliseconds() + timeout;
  for (double remaining = timeout; remaining >= 0 && DropFetched() > 0; remaining = deadline - MonotonicMilliseconds())
    Fetch(remaining).Ignore("what has not come back is lost");
  DropFetched();
  Lock lock(mutex_);
  const size_t left = pending_.size();
  Lose();
  changed_.wait(lock, [this] { return beside_ == 0; });
  if (reusable_ && left == 0) {
    Drain();
    RetirePort(port_, concurrency_);
  } else {
    ClosePort(port_).Ignore("it is gone");
  }
  port_ = nullptr;
  return left;
}

// Of what makes the leader look up, and of nothing else: who takes the port over finds it empty.
void Port::Drain() {
  OVERLAPPED_ENTRY entries[kMaxEntries];
  ULONG count = 0;
  while (Call<::GetQueuedCompletionStatusEx>(port_, entries, kMaxEntries, &count, DWORD{0}, FALSE).ok()) {
  }
}

// How many are still pending.
size_t Port::DropFetched() {
  const Lock lock(mutex_);
  fetched_.clear();
  woken_ = false;
  return pending_.size();
}

// The kernel may still write into them, whenever that is: they are kept for the rest of the process.
void Port::Lose() {
  static auto* const lost = new std::vector<std::unique_ptr<Operation>>;
  static auto* const mutex = new std::mutex;
  const std::lock_guard lock(*mutex);
  for (auto& [overlapped, operation] : pending_) {
    operation->accepted = UniqueFd();
    lost->push_back(std::move(operation));
  }
  pending_.clear();
  by_id_.clear();
  cancelled_ = 0;
}

// ------------------------------------------------------------------------------------------------------- operations

bool Port::Has(HANDLE handle) const { return port_ != nullptr && PortOf(handle) == port_; }

Result Port::Associate(HANDLE handle, ULONG_PTR key) {
  if (port_ == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  const Result made = Call<::CreateIoCompletionPort>(handle, port_, key, DWORD{0});
  if (!made.ok()) return made;
  RememberPort(handle, port_);
  const Lock lock(mutex_);
  keys_.erase(handle);
  if (key != 0) keys_.emplace(handle, key);
  return Result::Ok(0);
}

Result Port::Post(ULONG_PTR key, DWORD bytes) {
  if (port_ == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  return StatusOf(Call<::PostQueuedCompletionStatus>(port_, bytes, key, static_cast<OVERLAPPED*>(nullptr)));
}

// A call that fails leaves no packet behind, one that is pending or succeeds at once does. A datagram that was cut off
// is a success to the kernel (STATUS_BUFFER_OVERFLOW is a warning), and an error to Winsock only.
bool Port::PacketFollows(const Operation& operation, int error) {
  const bool is_cut = error == WSAEMSGSIZE || error == ERROR_MORE_DATA;
  return error == 0 || error == ERROR_IO_PENDING || (is_cut && operation.Receives());
}

namespace {

const char* NameOfCompletion(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kAccept:
      return "accept.completion";
    case Operation::Kind::kConnect:
      return "connect.completion";
    case Operation::Kind::kReceive:
    case Operation::Kind::kReceiveFrom:
      return "recv.completion";
    case Operation::Kind::kSend:
      return "send.completion";
    case Operation::Kind::kRead:
      return "read.completion";
    case Operation::Kind::kWrite:
      return "write.completion";
  }
  return "";
}

}  // namespace

bool Port::ApplyFault(Operation& operation) {
  const Fault fault = TakeFault(NameOfCompletion(operation.kind));
  const bool has_length = operation.kind != Operation::Kind::kAccept && operation.kind != Operation::Kind::kConnect;
  if (fault.kind == Fault::Kind::kShort && has_length)
    operation.size = static_cast<size_t>(std::min<uint64_t>(operation.size, static_cast<uint64_t>(fault.value)));
  if (fault.kind != Fault::Kind::kError) return false;
  const Lock lock(mutex_);
  const auto key = keys_.find(operation.handle);
  operation.injected = fault.error();
  // Behind it the operation may have been taken already: it is not looked at.
  const Result posted =
      Call<::PostQueuedCompletionStatus>(port_, DWORD{0}, key == keys_.end() ? 0 : key->second, &operation.overlapped);
  if (!posted.ok()) operation.injected = 0;
  return posted.ok();
}

Result Port::Add(std::unique_ptr<Operation> operation) {
  const Lock lock(mutex_);
  if (port_ == nullptr || closing_) return Result::Error(ERROR_INVALID_HANDLE);
  if (!Has(operation->handle) || by_id_.contains(operation->id)) return Result::Error(ERROR_INVALID_PARAMETER);
  by_id_.emplace(operation->id, operation.get());
  const OVERLAPPED* const overlapped = &operation->overlapped;
  pending_.emplace(overlapped, std::move(operation));
  return Result::Ok(0);
}

void Port::Remove(const Operation& operation) {
  const Lock lock(mutex_);
  by_id_.erase(operation.id);
  pending_.erase(&operation.overlapped);
}

Result Port::CancelInKernel(Operation& operation) {
  if (!operation.cancelled) ++cancelled_;
  operation.cancelled = true;
  return StatusOf(Call<::CancelIoEx>(operation.handle, &operation.overlapped));
}

Result Port::Cancel(int64_t id) {
  const Lock lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return Result::Error(ERROR_NOT_FOUND);
  CancelInKernel(*found->second).Ignore("it is completed already, and its packet under way");
  return Result::Ok(0);
}

Result Port::CancelAllOf(HANDLE handle) {
  return StatusOf(Call<::CancelIoEx>(handle, static_cast<OVERLAPPED*>(nullptr)));
}

void Port::CancelAll() {
  const Lock lock(mutex_);
  for (const auto& [id, operation] : by_id_) {
    CancelInKernel(*operation).Ignore("it is completed already, or its handle closed: its packet is under way");
  }
}

// ------------------------------------------------------------------------------------------------------------ waiting

bool Port::TakePacket(Packet* packet) {
  const Lock lock(mutex_);
  if (fetched_.empty()) return false;
  *packet = std::move(fetched_.front());
  fetched_.pop_front();
  return true;
}

// Under the lock.
void Port::LookUp() {
  if (port_ == nullptr) return;
  Call<::PostQueuedCompletionStatus>(port_, DWORD{0}, ULONG_PTR{0}, &look_up)
      .Ignore("no memory for a packet: the leader looks up when the next one comes");
}

Result Port::Signal() {
  const Lock lock(mutex_);
  if (port_ == nullptr || woken_.exchange(true)) return Result::Ok(0);
  LookUp();
  changed_.notify_all();
  return Result::Ok(0);
}

void Port::Lead(Lock& lock) {
  owner_wants_ = true;
  if (leading_) LookUp();
  changed_.wait(lock, [this] { return !leading_; });
  owner_wants_ = false;
  leading_ = true;
}

void Port::StepDown() {
  leading_ = false;
  changed_.notify_all();
}

Result Port::Fetch(double timeout) {
  Lock lock(mutex_);
  if (port_ == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  Lead(lock);
  // At least once, also where there is something already: what is completed by now is told by now.
  const Result result = Wait(HasSomething() ? 0 : timeout, [&](double remaining) { return Dequeue(lock, remaining); });
  StepDown();
  return result;
}

// How many packets there are to take. The lock is open while the kernel waits.
Result Port::Dequeue(Lock& lock, double timeout) {
  OVERLAPPED_ENTRY entries[kMaxEntries];
  ULONG count = 0;
  const HANDLE port = port_;
  const DWORD milliseconds = timeout < 0 ? INFINITE : static_cast<DWORD>(CeilMilliseconds(timeout));
  lock.unlock();
  const Result some = Call<::GetQueuedCompletionStatusEx>(port, entries, kMaxEntries, &count, milliseconds, FALSE);
  lock.lock();
  // When the time is over, the count is not to be believed (Wine 8: 1).
  for (ULONG i = 0; some.ok() && i < count; ++i) Keep(entries[i]);
  if (!some.ok() && some.error() != WAIT_TIMEOUT) return some;
  return Result::Ok(HasSomething() ? 1 : 0);
}

void Port::Keep(const OVERLAPPED_ENTRY& entry) {
  if (entry.lpOverlapped == &look_up) return;
  Packet packet{entry.lpCompletionKey, entry.dwNumberOfBytesTransferred, 0, nullptr, false};
  if (entry.lpOverlapped != nullptr) {
    const auto found = pending_.find(entry.lpOverlapped);
    packet.is_unexpected = found == pending_.end();
    if (!packet.is_unexpected) {
      packet.operation = std::move(found->second);
      pending_.erase(found);
      by_id_.erase(packet.operation->id);
      if (packet.operation->cancelled) --cancelled_;
      packet.error = Conclude(*packet.operation);
    }
  }
  fetched_.push_back(std::move(packet));
}

void Port::FetchCancelled(double timeout) {
  const double deadline = MonotonicMilliseconds() + timeout;
  Lock lock(mutex_);
  while (cancelled_ > 0 && port_ != nullptr) {
    const double remaining = deadline - MonotonicMilliseconds();
    if (remaining <= 0) return;
    Lead(lock);
    Dequeue(lock, remaining).Ignore("the next wait says so");
    StepDown();
  }
}

Result Port::WaitInThread(double timeout, const std::atomic<bool>& ended) {
  constexpr double kLongestSlice = 60'000;  // milliseconds: what a condition variable can count
  Lock lock(mutex_);
  ++beside_;
  const auto is_over = [&] { return closing_ || port_ == nullptr || ended || HasSomething(); };
  const auto may_lead = [&] { return !leading_ && !owner_wants_; };
  const Result result = Wait(timeout, [&](double remaining) {
    if (is_over()) return Result::Ok(1);
    if (!may_lead()) {
      const double slice = remaining < 0 ? kLongestSlice : std::min(remaining, kLongestSlice);
      changed_.wait_for(lock, std::chrono::duration<double, std::milli>(slice),
                        [&] { return is_over() || may_lead(); });
      return Result::Ok(is_over() ? 1 : 0);
    }
    leading_ = true;
    const Result dequeued = Dequeue(lock, remaining);
    StepDown();
    return dequeued.ok() ? Result::Ok(is_over() ? 1 : 0) : dequeued;
  });
  --beside_;
  changed_.notify_all();
  return result.ok() ? Result::Ok(0) : result;
}

void Port::EndWaitInThread() {
  const Lock lock(mutex_);
  LookUp();
  changed_.notify_all();
}

}  // namespace selectors
