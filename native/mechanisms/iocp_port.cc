// See iocp_port.h.
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

// Packets per call, in 4 KiB of the stack.
constexpr ULONG kMaxEntries = 128;

// Its address identifies the packets that wake the leader. No operation has the same address: this object is never
// freed.
OVERLAPPED wake_packet{};

// The error of an operation from its NTSTATUS alone, for a socket that is closed: Winsock no longer reports it.
int ErrorOfStatus(const OVERLAPPED& overlapped) {
  using Translate = ULONG(WINAPI*)(LONG status);
  static const auto translate = reinterpret_cast<Translate>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlNtStatusToDosError")));
  return translate == nullptr ? ERROR_OPERATION_ABORTED
                              : static_cast<int>(translate(static_cast<LONG>(overlapped.Internal)));
}

// The error of a completed operation. For a reset connection the port reports ERROR_NETNAME_DELETED (64);
// WSAGetOverlappedResult returns WSAECONNRESET.
int ErrorOf(Operation& operation) {
  if (operation.injected != 0) return operation.injected;
  constexpr ULONG_PTR kSuccess = 0;  // STATUS_SUCCESS
  if (operation.overlapped.Internal == kSuccess) return 0;
  DWORD bytes = 0;
  if (!operation.IsSocketOperation()) {
    return Call<::GetOverlappedResult>(operation.handle, &operation.overlapped, &bytes, FALSE).error();
  }
  DWORD flags = 0;
  const auto socket = reinterpret_cast<Fd>(operation.handle);
  const int error = Call<::WSAGetOverlappedResult>(socket, &operation.overlapped, &bytes, FALSE, &flags).error();
  return error == WSAENOTSOCK ? ErrorOfStatus(operation.overlapped) : error;
}

// Before this, getpeername and shutdown fail on a socket that AcceptEx or ConnectEx has connected.
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

// Returns the error of a completed operation, or 0.
int Finish(Operation& operation) {
  const int error = ErrorOf(operation);
  const bool connects = operation.kind == Operation::Kind::kAccept || operation.kind == Operation::Kind::kConnect;
  return error == 0 && connects ? UpdateContext(operation) : error;
}

}  // namespace

UniqueHandle& UniqueHandle::operator=(UniqueHandle&& other) noexcept {
  if (this != &other) {
    Close().Ignore("the old handle is closed or was invalid");
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
  // Not zeroed: JavaScript sees only received bytes.
  bytes.reset(new (std::nothrow) uint8_t[std::max<size_t>(length, 1)]);
  size = length;
  return bytes != nullptr;
}

// ------------------------------------------------------------------------------------------------ opening and closing

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
    WakeLeader();
    changed_.notify_all();
  }
  CancelAll();
  const double deadline = MonotonicMilliseconds() + timeout;
  for (double remaining = timeout; remaining >= 0 && DropFetched() > 0; remaining = deadline - MonotonicMilliseconds())
    Fetch(remaining).Ignore("operations whose packets do not arrive are abandoned");
  DropFetched();
  Lock lock(mutex_);
  const size_t left = pending_.size();
  AbandonPending();
  changed_.wait(lock, [this] { return beside_waits_ == 0; });
  if (reusable_ && left == 0) {
    DrainWakePackets();
    RetirePort(port_, concurrency_);
  } else {
    ClosePort(port_).Ignore("the port is no longer used");
  }
  port_ = nullptr;
  return left;
}

// Only wake packets are left. The next user of the port must find it empty.
void Port::DrainWakePackets() {
  OVERLAPPED_ENTRY entries[kMaxEntries];
  ULONG count = 0;
  while (Call<::GetQueuedCompletionStatusEx>(port_, entries, kMaxEntries, &count, DWORD{0}, FALSE).ok()) {
  }
}

// Returns the number of operations that are still pending.
size_t Port::DropFetched() {
  const Lock lock(mutex_);
  fetched_.clear();
  woken_ = false;
  return pending_.size();
}

// Keeps the pending operations for the rest of the process: the kernel may still write to their memory.
void Port::AbandonPending() {
  static auto* const abandoned = new std::vector<std::unique_ptr<Operation>>;
  static auto* const mutex = new std::mutex;
  const std::lock_guard lock(*mutex);
  for (auto& [overlapped, operation] : pending_) {
    operation->accepted = UniqueFd();
    abandoned->push_back(std::move(operation));
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

// True if the call is pending or has succeeded at once. A truncated datagram is an error of Winsock only: for the
// kernel it is a success (STATUS_BUFFER_OVERFLOW is a warning), so a packet follows.
bool Port::PacketFollows(const Operation& operation, int error) {
  const bool is_truncated = error == WSAEMSGSIZE || error == ERROR_MORE_DATA;
  return error == 0 || error == ERROR_IO_PENDING || (is_truncated && operation.Receives());
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

// The name of an operation in a trace.
const char* NameOf(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kAccept:
      return "ACCEPT";
    case Operation::Kind::kConnect:
      return "CONNECT";
    case Operation::Kind::kReceive:
      return "RECV";
    case Operation::Kind::kReceiveFrom:
      return "RECVFROM";
    case Operation::Kind::kSend:
      return "SEND";
    case Operation::Kind::kRead:
      return "READ";
    case Operation::Kind::kWrite:
      return "WRITE";
  }
  return "";
}

std::string IdOf(const Operation& operation) { return "id=" + std::to_string(operation.id); }

// Before the call that starts the operation: `RECV fd=200 len=65536 id=7`.
void TraceSubmission(const Operation& operation, Fault::Kind fault) {
  if (!Recorder::RecordsOperations()) return;
  OperationRecord record{RecordKind::kSubmission, NameOf(operation.kind)};
  std::string& out = record.arguments;
  out = "fd=" + std::to_string(reinterpret_cast<intptr_t>(operation.handle));
  if (operation.kind == Operation::Kind::kAccept)
    out += " accept=" + std::to_string(static_cast<int64_t>(operation.accepting));
  if (operation.kind == Operation::Kind::kConnect) {
    print::AppendSocketAddress(out.append(" addr="), &operation.address, static_cast<size_t>(operation.address_length));
  }
  if (operation.kind == Operation::Kind::kSend || operation.kind == Operation::Kind::kWrite)
    print::AppendBytes(out.append(" addr="), operation.bytes.get(), operation.size);
  if (operation.kind != Operation::Kind::kAccept && operation.kind != Operation::Kind::kConnect)
    out += " len=" + std::to_string(operation.size);
  if (!operation.IsSocketOperation()) {
    const uint64_t high = operation.overlapped.OffsetHigh;
    out += " off=" + std::to_string(high << 32 | operation.overlapped.Offset);
  }
  out.append(" ").append(IdOf(operation));
  record.fault = fault;
  Recorder::RecordOperation(record);
}

// When the packet is dequeued: `id=7 res=64`.
void TraceCompletion(const Operation& operation, DWORD bytes, int error) {
  if (!Recorder::RecordsOperations()) return;
  OperationRecord record{RecordKind::kCompletion, NameOf(operation.kind), IdOf(operation)};
  record.result = error == 0 ? static_cast<int64_t>(bytes) : -1;
  record.error = error;
  if (operation.injected != 0) record.fault = Fault::Kind::kError;
  Recorder::RecordOperation(record);
}

}  // namespace

bool Port::Instrument(Operation& operation) {
  const Fault fault = TakeFault(NameOfCompletion(operation.kind));
  TraceSubmission(operation, fault.kind);
  const bool has_length = operation.kind != Operation::Kind::kAccept && operation.kind != Operation::Kind::kConnect;
  if (fault.kind == Fault::Kind::kShort && has_length)
    operation.size = static_cast<size_t>(std::min<uint64_t>(operation.size, static_cast<uint64_t>(fault.value)));
  if (fault.kind != Fault::Kind::kError) return false;
  const Lock lock(mutex_);
  const auto key = keys_.find(operation.handle);
  operation.injected = fault.error();
  // Once the packet is queued, another thread may take the operation: Start no longer accesses it.
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
  CancelInKernel(*found->second).Ignore("it has completed already, and its packet is queued");
  return Result::Ok(0);
}

Result Port::CancelAllOf(HANDLE handle) {
  return StatusOf(Call<::CancelIoEx>(handle, static_cast<OVERLAPPED*>(nullptr)));
}

void Port::CancelAll() {
  const Lock lock(mutex_);
  for (const auto& [id, operation] : by_id_) {
    CancelInKernel(*operation).Ignore("it has completed, or its handle is closed: its packet is queued");
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

// The caller holds the lock.
void Port::WakeLeader() {
  if (port_ == nullptr) return;
  Call<::PostQueuedCompletionStatus>(port_, DWORD{0}, ULONG_PTR{0}, &wake_packet)
      .Ignore("no memory for a packet: the leader checks the state after the next one");
}

Result Port::Signal() {
  const Lock lock(mutex_);
  if (port_ == nullptr || woken_.exchange(true)) return Result::Ok(0);
  WakeLeader();
  changed_.notify_all();
  return Result::Ok(0);
}

void Port::BecomeLeader(Lock& lock) {
  owner_wants_to_lead_ = true;
  if (has_leader_) WakeLeader();
  changed_.wait(lock, [this] { return !has_leader_; });
  owner_wants_to_lead_ = false;
  has_leader_ = true;
}

void Port::Resign() {
  has_leader_ = false;
  changed_.notify_all();
}

Result Port::Fetch(double timeout) {
  Lock lock(mutex_);
  if (port_ == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  BecomeLeader(lock);
  // At least one call, even if a packet is stored already: what has completed by now must be reported now.
  const Result result =
      Wait(HasPacketOrWakeup() ? 0 : timeout, [&](double remaining) { return Dequeue(lock, remaining); });
  Resign();
  return result;
}

// Returns 1 if there is a packet or a wake-up, else 0. Unlocks while it waits.
Result Port::Dequeue(Lock& lock, double timeout) {
  OVERLAPPED_ENTRY entries[kMaxEntries];
  ULONG count = 0;
  const HANDLE port = port_;
  const DWORD milliseconds = timeout < 0 ? INFINITE : static_cast<DWORD>(CeilMilliseconds(timeout));
  lock.unlock();
  const Result dequeued = Call<::GetQueuedCompletionStatusEx>(port, entries, kMaxEntries, &count, milliseconds, FALSE);
  lock.lock();
  // After a timeout the count is wrong (Wine 8: 1).
  for (ULONG i = 0; dequeued.ok() && i < count; ++i) StorePacket(entries[i]);
  if (!dequeued.ok() && dequeued.error() != WAIT_TIMEOUT) return dequeued;
  return Result::Ok(HasPacketOrWakeup() ? 1 : 0);
}

void Port::StorePacket(const OVERLAPPED_ENTRY& entry) {
  if (entry.lpOverlapped == &wake_packet) return;
  Packet packet{entry.lpCompletionKey, entry.dwNumberOfBytesTransferred, 0, nullptr, false};
  if (entry.lpOverlapped != nullptr) {
    const auto found = pending_.find(entry.lpOverlapped);
    packet.is_unexpected = found == pending_.end();
    if (!packet.is_unexpected) {
      packet.operation = std::move(found->second);
      pending_.erase(found);
      by_id_.erase(packet.operation->id);
      if (packet.operation->cancelled) --cancelled_;
      packet.error = Finish(*packet.operation);
      if (IsInstrumented()) TraceCompletion(*packet.operation, packet.bytes, packet.error);
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
    BecomeLeader(lock);
    Dequeue(lock, remaining).Ignore("the next wait fails with the same error");
    Resign();
  }
}

Result Port::WaitInThread(double timeout, const std::atomic<bool>& ended) {
  constexpr double kMaxSlice = 60'000;  // milliseconds; a much longer time overflows in wait_for
  Lock lock(mutex_);
  ++beside_waits_;
  const auto is_over = [&] { return closing_ || port_ == nullptr || ended || HasPacketOrWakeup(); };
  const auto may_lead = [&] { return !has_leader_ && !owner_wants_to_lead_; };
  const Result result = Wait(timeout, [&](double remaining) {
    if (is_over()) return Result::Ok(1);
    if (!may_lead()) {
      const double slice = remaining < 0 ? kMaxSlice : std::min(remaining, kMaxSlice);
      changed_.wait_for(lock, std::chrono::duration<double, std::milli>(slice),
                        [&] { return is_over() || may_lead(); });
      return Result::Ok(is_over() ? 1 : 0);
    }
    has_leader_ = true;
    const Result dequeued = Dequeue(lock, remaining);
    Resign();
    return dequeued.ok() ? Result::Ok(is_over() ? 1 : 0) : dequeued;
  });
  --beside_waits_;
  changed_.notify_all();
  return result.ok() ? Result::Ok(0) : result;
}

void Port::EndWaitInThread() {
  const Lock lock(mutex_);
  WakeLeader();
  changed_.notify_all();
}

}  // namespace selectors
