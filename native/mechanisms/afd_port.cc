// See afd_port.h.
#include "mechanisms/afd_port.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/wait.h"

// After winsock2.h.
#include <mswsock.h>

namespace selectors {
namespace {

// Any name below \Device\Afd opens the driver itself, without a socket.
constexpr const wchar_t* kDeviceName = L"\\Device\\Afd\\Selectors";

// Values of winsock2.h and mswsock.h that not every SDK has.
constexpr DWORD kSioBaseHandle = 0x48000022;
constexpr DWORD kSioBspHandlePoll = 0x4800001D;

// How many threads the kernel lets handle packets at a time. Above the number of threads that wait: none is held back
// because another one runs.
constexpr DWORD kConcurrency = 1024;

Result SocketBelow(Fd fd, DWORD code) {
  SOCKET below = INVALID_SOCKET;
  DWORD bytes = 0;
  const Result asked = Call<::WSAIoctl>(fd, code, static_cast<void*>(nullptr), DWORD{0}, static_cast<void*>(&below),
                                        static_cast<DWORD>(sizeof below), &bytes, static_cast<WSAOVERLAPPED*>(nullptr),
                                        LPWSAOVERLAPPED_COMPLETION_ROUTINE{nullptr});
  return asked.ok() ? Result::Ok(static_cast<int64_t>(below)) : asked;
}

}  // namespace

Result AfdPort::BaseSocket(Fd fd) {
  for (Fd socket = fd;;) {
    const Result base = SocketBelow(socket, kSioBaseHandle);
    if (base.ok() || base.error() == WSAENOTSOCK) return base;
    // Some providers handle SIO_BASE_HANDLE, against its documentation, and let this one through: the next socket
    // below (wepoll, ws_get_base_socket: Komodia's providers).
    const Result next = SocketBelow(socket, kSioBspHandlePoll);
    if (!next.ok() || static_cast<Fd>(next.value()) == socket) return base;
    socket = static_cast<Fd>(next.value());
  }
}

Result AfdPort::Open() {
  const Result made =
      Call<::CreateIoCompletionPort>(INVALID_HANDLE_VALUE, static_cast<HANDLE>(nullptr), ULONG_PTR{0}, kConcurrency);
  if (!made.ok()) return made;
  port_ = reinterpret_cast<HANDLE>(static_cast<intptr_t>(made.value()));
  const Result opened = OpenDevice();
  if (!opened.ok()) Close(0);
  return opened;
}

Result AfdPort::OpenDevice() {
  auto device = std::make_unique<AfdDevice>();
  const Result opened = Call<selectors::OpenDevice>(&device->handle, kDeviceName);
  if (!opened.ok()) return opened;
  Result joined = StatusOf(Call<::CreateIoCompletionPort>(device->handle, port_, ULONG_PTR{0}, DWORD{0}));
  // Nobody waits for the handle itself.
  if (joined.ok()) {
    joined = StatusOf(Call<::SetFileCompletionNotificationModes>(device->handle, UCHAR{FILE_SKIP_SET_EVENT_ON_HANDLE}));
  }
  if (!joined.ok()) {
    Call<::CloseHandle>(device->handle).Ignore("it was open");
    return joined;
  }
  with_room_.push_back(device.get());
  devices_.push_back(std::move(device));
  return Result::Ok(0);
}

Result AfdPort::Start(std::unique_ptr<AfdPoll> poll, Fd base, ULONG events) {
  if (port_ == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  if (with_room_.empty()) {
    const Result opened = OpenDevice();
    if (!opened.ok()) return opened;
  }
  AfdPoll& started = *poll;
  started.overlapped = {};
  started.info.timeout.QuadPart = INT64_MAX;
  started.info.number_of_handles = 1;
  started.info.exclusive = 0;
  started.info.handles[0] = {reinterpret_cast<HANDLE>(base), events, 0};
  AfdDevice& device = *with_room_.back();
  started.device = &device;
  started.index = pending_.size();
  pending_.push_back(std::move(poll));
  if (++device.polls == kPollsPerDevice) with_room_.pop_back();
  constexpr auto kSize = static_cast<DWORD>(sizeof(AfdPollInfo));
  const Result result = Call<StartAfdPoll>(device.handle, kIoctlAfdPoll, &started.info, kSize, &started.info, kSize,
                                           static_cast<DWORD*>(nullptr), &started.overlapped);
  if (result.ok()) return Result::Ok(0);
  std::unique_ptr<AfdPoll> failed;
  Remove(started, &failed);
  return result;
}

void AfdPort::Remove(const AfdPoll& poll, std::unique_ptr<AfdPoll>* removed) {
  if (poll.device->polls-- == kPollsPerDevice) with_room_.push_back(poll.device);
  const size_t index = poll.index;
  *removed = std::move(pending_[index]);
  if (index + 1 < pending_.size()) {
    pending_[index] = std::move(pending_.back());
    pending_[index]->index = index;
  }
  pending_.pop_back();
}

Result AfdPort::Cancel(AfdPoll& poll) { return StatusOf(Call<::CancelIoEx>(poll.device->handle, &poll.overlapped)); }

Result AfdPort::Dequeue(std::span<OVERLAPPED_ENTRY> packets, double timeout) const {
  ULONG count = 0;
  const DWORD milliseconds = timeout < 0 ? INFINITE : static_cast<DWORD>(CeilMilliseconds(timeout));
  return Call<DequeueAfdPolls>(port_, packets.data(), static_cast<ULONG>(packets.size()), &count, milliseconds,
                               BOOL{FALSE});
}

Result AfdPort::Wake() const {
  return StatusOf(Call<::PostQueuedCompletionStatus>(port_, DWORD{0}, ULONG_PTR{0}, &afd_wake_packet));
}

std::unique_ptr<AfdPoll> AfdPort::Take(const OVERLAPPED_ENTRY& entry) {
  std::unique_ptr<AfdPoll> poll;
  if (entry.lpOverlapped != &afd_wake_packet) Remove(*reinterpret_cast<AfdPoll*>(entry.lpOverlapped), &poll);
  return poll;
}

size_t AfdPort::Close(double timeout) {
  if (port_ == nullptr) return 0;
  for (const auto& poll : pending_) Cancel(*poll).Ignore("it has completed, and its packet is queued");
  const double deadline = MonotonicMilliseconds() + timeout;
  OVERLAPPED_ENTRY packets[64];
  while (!pending_.empty()) {
    const double remaining = deadline - MonotonicMilliseconds();
    const Result dequeued = Dequeue(packets, std::max(remaining, 0.0));
    for (size_t i = 0; static_cast<int64_t>(i) < dequeued.value(); ++i) Take(packets[i]).reset();
    if (dequeued.value() <= 0 && remaining <= 0) break;
    if (!dequeued.ok()) SleepMilliseconds(1);  // a fault plan's error: it tries again
  }
  for (const auto& device : devices_) Call<::CloseHandle>(device->handle).Ignore("it was open");
  Call<::CloseHandle>(port_).Ignore("it was open");
  port_ = nullptr;
  const size_t left = pending_.size();
  if (left > 0) {
    // For the rest of the process: the kernel may still write to their memory.
    static auto* const abandoned = new std::vector<std::unique_ptr<AfdPoll>>;
    static auto* const mutex = new std::mutex;
    const std::lock_guard lock(*mutex);
    for (auto& poll : pending_) abandoned->push_back(std::move(poll));
    pending_.clear();
  }
  with_room_.clear();
  devices_.clear();
  return left;
}

}  // namespace selectors
