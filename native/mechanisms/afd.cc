// AFD, Windows: the kernel driver of Winsock's sockets, polled by IOCTL_AFD_POLL. A poll of a socket completes when one
// of its events has happened, and its packet comes to a completion port. So the cost of a wait grows with the number of
// ready sockets, not with the number of registered ones, as with epoll(7); WSAPoll and select pass all sockets to the
// same driver in each call.
//
// Two classes, over afd_port.h:
//
//   Afd     the calls one by one: a poll, which is one-shot; its cancellation; the packets
//   AfdSet  level-triggered readiness (afd_set.h), for AfdSelector and the loops, whose wait is AfdMultiplexer
//
// Limit: sockets only, as with all of Winsock.
#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/args.h"
#include "core/multiplexer.h"
#include "core/wait.h"
#include "mechanisms/afd_port.h"
#include "mechanisms/afd_set.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

constexpr double kMaxAfdCloseTimeout = 5000;  // milliseconds
constexpr int64_t kMaxPollId = (int64_t{1} << 53) - 1;

// A row of Afd.getQueuedCompletionStatusEx: [id, events, error]. error: 0 or negative.
constexpr size_t kAfdRow = 3;
constexpr size_t kMaxAfdRows = 512;

// The sets that multiplexers find by their handle, in this process. Handles are never reused (core/wakeable.h).
struct SetTable {
  std::mutex mutex;
  std::unordered_map<uint32_t, std::weak_ptr<AfdSet>> sets;

  static SetTable& OfProcess() {
    // Never destroyed: a worker may still run while the main thread exits.
    static auto* const table = new SetTable;
    return *table;
  }
  uint32_t Add(const std::shared_ptr<AfdSet>& set) {
    const uint32_t handle = RegisterWakeable(set);
    const std::lock_guard lock(mutex);
    sets.emplace(handle, set);
    return handle;
  }
  void Remove(uint32_t handle) {
    UnregisterWakeable(handle);
    const std::lock_guard lock(mutex);
    sets.erase(handle);
  }
  std::shared_ptr<AfdSet> Find(Fd handle) {
    const std::lock_guard lock(mutex);
    const auto found = sets.find(static_cast<uint32_t>(handle));
    return found == sets.end() ? nullptr : found->second.lock();
  }
};

Napi::Value ToValue(Napi::Env env, Result result) { return {env, ToJavaScript(env, result)}; }

// new AfdSet(): open() -> 0 or a negative error; then handle(), for prepareWait and Waiter.start.
class AfdSetObject : public Napi::ObjectWrap<AfdSetObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "AfdSet",
        {InstanceMethod<&AfdSetObject::Open>("open"), InstanceMethod<&AfdSetObject::Handle>("handle"),
         InstanceMethod<&AfdSetObject::Add>("add"), InstanceMethod<&AfdSetObject::Change>("change"),
         InstanceMethod<&AfdSetObject::Remove>("remove"), InstanceMethod<&AfdSetObject::Has>("has"),
         InstanceMethod<&AfdSetObject::Pending>("pending"), InstanceMethod<&AfdSetObject::Handles>("handles"),
         InstanceMethod<&AfdSetObject::Close>("close")});
  }

  explicit AfdSetObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AfdSetObject>(info) {}
  ~AfdSetObject() override { CloseSet(kMaxAfdCloseTimeout); }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (handle_ != 0 || was_closed_) return ToValue(info.Env(), Result::Ok(0));
    const Result opened = set_->Open();
    if (opened.ok()) {
      handle_ = SetTable::OfProcess().Add(set_);
      napi_add_env_cleanup_hook(Env(), OnEnvironmentExit, this);
    }
    return ToValue(info.Env(), opened);
  }

  // 0: not open.
  Napi::Value Handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), handle_); }

  // add(fd, events, generation): events: 1 readable, 2 writable. 0 or a negative error.
  Napi::Value Add(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    const int events = args.IntAt(1);
    const int generation = args.IntAt(2);
    if (!args.ok()) return info.Env().Undefined();
    return ToValue(info.Env(), set_->Add(fd, events, generation));
  }

  // change(fd, events): 0 or a negative error.
  Napi::Value Change(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    const int events = args.IntAt(1);
    if (!args.ok()) return info.Env().Undefined();
    return ToValue(info.Env(), set_->Change(fd, events));
  }

  Napi::Value Remove(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (args.ok()) set_->Remove(fd);
    return info.Env().Undefined();
  }

  // has(fd, generation): false: the kernel has reported that the socket was closed.
  Napi::Value Has(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    const int generation = args.IntAt(1);
    if (!args.ok()) return info.Env().Undefined();
    return Napi::Boolean::New(info.Env(), set_->Has(fd, generation));
  }

  // The number of polls that the kernel has not completed, or whose packets were not dequeued.
  Napi::Value Pending(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(set_->pending()));
  }

  // The number of open handles of the port and the device.
  Napi::Value Handles(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(set_->handles()));
  }

  // close(timeout): cancels all polls and waits at most `timeout` milliseconds for their packets. Returns the number of
  // polls whose packets have not arrived; their memory is never freed.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    Args args(info);
    const double timeout = args.TimeoutAt(0);
    if (!args.ok()) return info.Env().Undefined();
    const size_t left = CloseSet(std::clamp(timeout, 0.0, kMaxAfdCloseTimeout));
    return Napi::Number::New(info.Env(), static_cast<double>(left));
  }

  size_t CloseSet(double timeout) {
    if (handle_ == 0) return 0;
    was_closed_ = true;
    napi_remove_env_cleanup_hook(Env(), OnEnvironmentExit, this);
    SetTable::OfProcess().Remove(handle_);
    handle_ = 0;
    return set_->Close(timeout);
  }

  static void OnEnvironmentExit(void* self) { static_cast<AfdSetObject*>(self)->CloseSet(kMaxAfdCloseTimeout); }

  const std::shared_ptr<AfdSet> set_ = std::make_shared<AfdSet>();
  uint32_t handle_ = 0;
  bool was_closed_ = false;
};

class AfdMultiplexer final : public Multiplexer {
 public:
  Result Watch(Fd handle, std::span<const int32_t>) override {
    auto found = SetTable::OfProcess().Find(handle);
    if (found == nullptr) return Result::Error(kInvalidArgument);
    set_ = std::move(found);
    return Result::Ok(0);
  }

  Result Wait(double timeout, std::span<ReadyEvent> out) override {
    return set_ == nullptr ? Result::Error(kInvalidArgument) : set_->Wait(timeout, out);
  }

 private:
  std::shared_ptr<AfdSet> set_;
};

// new Afd(): open() -> 0 or a negative error. A poll has an id: a number greater than 0 that no pending poll has.
class Afd : public Napi::ObjectWrap<Afd> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Afd",
        {InstanceMethod<&Afd::Open>("open"), InstanceMethod<&Afd::Poll>("poll"), InstanceMethod<&Afd::Cancel>("cancel"),
         InstanceMethod<&Afd::Wait>("getQueuedCompletionStatusEx"), InstanceMethod<&Afd::BaseSocket>("baseSocket"),
         InstanceMethod<&Afd::Pending>("pending"), InstanceMethod<&Afd::Handles>("handles"),
         InstanceMethod<&Afd::Close>("close")});
  }

  explicit Afd(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Afd>(info) {}
  ~Afd() override { ClosePort(kMaxAfdCloseTimeout); }

 private:
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (port_.IsOpen() || was_closed_) return ToValue(info.Env(), Result::Ok(0));
    const Result opened = port_.Open();
    if (opened.ok()) napi_add_env_cleanup_hook(Env(), OnEnvironmentExit, this);
    return ToValue(info.Env(), opened);
  }

  static int64_t IdAt(Args& args, size_t index) {
    const double value = args.NumberAt(index);
    if (!(value >= 1 && value <= static_cast<double>(kMaxPollId)) ||
        value != static_cast<double>(static_cast<int64_t>(value))) {
      args.Fail(index, "a whole number greater than 0");
      return 0;
    }
    return static_cast<int64_t>(value);
  }

  // baseSocket(fd): WSAIoctl with SIO_BASE_HANDLE. The socket or a negative error.
  Napi::Value BaseSocket(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd fd = args.FdAt(0);
    if (!args.ok()) return info.Env().Undefined();
    return ToValue(info.Env(), AfdPort::BaseSocket(fd));
  }

  // poll(id, base, events): IOCTL_AFD_POLL; events: AFD_POLL_*. 0: a packet follows; or a negative error: none follows.
  Napi::Value Poll(const Napi::CallbackInfo& info) {
    Args args(info);
    const int64_t id = IdAt(args, 0);
    const Fd base = args.FdAt(1);
    const auto events = static_cast<ULONG>(args.SizeAt(2, UINT32_MAX));
    if (!args.ok()) return info.Env().Undefined();
    if (!port_.IsOpen()) return ToValue(info.Env(), Result::Error(ERROR_INVALID_HANDLE));
    if (by_id_.contains(id)) return ToValue(info.Env(), Result::Error(ERROR_INVALID_PARAMETER));
    auto poll = std::make_unique<AfdPoll>();
    AfdPoll* const started = poll.get();
    started->id = id;
    const Result result = port_.Start(std::move(poll), base, events);
    if (result.ok()) by_id_.emplace(id, started);
    return ToValue(info.Env(), result);
  }

  // cancel(id): CancelIoEx. Its packet follows all the same. ERROR_NOT_FOUND: no pending poll has this id.
  Napi::Value Cancel(const Napi::CallbackInfo& info) {
    Args args(info);
    const int64_t id = IdAt(args, 0);
    if (!args.ok()) return info.Env().Undefined();
    const auto found = by_id_.find(id);
    return ToValue(info.Env(),
                   found == by_id_.end() ? Result::Error(ERROR_NOT_FOUND) : AfdPort::Cancel(*found->second));
  }

  // getQueuedCompletionStatusEx(out, maxRows, timeout): writes at most `maxRows` rows into `out`. Returns their number,
  // or a negative error.
  Napi::Value Wait(const Napi::CallbackInfo& info) {
    Args args(info);
    const std::span<double> out = args.DoublesAt(0);
    const size_t max_rows = std::min(args.SizeAt(1, out.size() / kAfdRow), kMaxAfdRows);
    const double timeout = args.TimeoutAt(2);
    if (args.ok() && max_rows == 0) args.Fail(1, "greater than 0");
    if (!args.ok()) return info.Env().Undefined();
    if (!port_.IsOpen()) return ToValue(info.Env(), Result::Error(ERROR_INVALID_HANDLE));
    OVERLAPPED_ENTRY packets[kMaxAfdRows];
    const auto room = std::span(packets).first(max_rows);
    const Result result = selectors::Wait(timeout, [&](double remaining) { return port_.Dequeue(room, remaining); });
    for (size_t i = 0; static_cast<int64_t>(i) < result.value(); ++i) {
      const std::unique_ptr<AfdPoll> poll = port_.Take(packets[i]);
      by_id_.erase(poll->id);
      // 0, or the Win32 error of the poll's status.
      DWORD bytes = 0;
      const Result finished =
          poll->overlapped.Internal == 0
              ? Result::Ok(0)
              : StatusOf(Call<::GetOverlappedResult>(poll->device->handle, &poll->overlapped, &bytes, BOOL{FALSE}));
      const bool has_events = finished.ok() && poll->info.number_of_handles > 0;
      double* const row = &out[i * kAfdRow];
      row[0] = static_cast<double>(poll->id);
      row[1] = has_events ? static_cast<double>(poll->info.handles[0].events) : 0;
      row[2] = static_cast<double>(-finished.error());
    }
    return ToValue(info.Env(), result);
  }

  Napi::Value Pending(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(port_.pending()));
  }

  Napi::Value Handles(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(port_.handles()));
  }

  // close(timeout): as AfdSet's.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    Args args(info);
    const double timeout = args.TimeoutAt(0);
    if (!args.ok()) return info.Env().Undefined();
    const size_t left = ClosePort(std::clamp(timeout, 0.0, kMaxAfdCloseTimeout));
    return Napi::Number::New(info.Env(), static_cast<double>(left));
  }

  size_t ClosePort(double timeout) {
    if (!port_.IsOpen()) return 0;
    was_closed_ = true;
    napi_remove_env_cleanup_hook(Env(), OnEnvironmentExit, this);
    by_id_.clear();
    return port_.Close(timeout);
  }

  static void OnEnvironmentExit(void* self) { static_cast<Afd*>(self)->ClosePort(kMaxAfdCloseTimeout); }

  AfdPort port_;
  std::unordered_map<int64_t, AfdPoll*> by_id_;  // the pending polls
  bool was_closed_ = false;
};

}  // namespace

const MultiplexerRow kAfd = MultiplexerRowOf<AfdMultiplexer>("afd");

void RegisterAfd(Napi::Env env, Napi::Object exports) {
  exports.Set("Afd", Afd::Define(env));
  exports.Set("AfdSet", AfdSetObject::Define(env));
  const auto constant = [&](const char* name, double value) { exports.Set(name, Napi::Number::New(env, value)); };
  constant("AFD_ROW", kAfdRow);
  constant("AFD_POLL_RECEIVE", kAfdReceive);
  constant("AFD_POLL_RECEIVE_EXPEDITED", kAfdReceiveExpedited);
  constant("AFD_POLL_SEND", kAfdSend);
  constant("AFD_POLL_DISCONNECT", kAfdDisconnect);
  constant("AFD_POLL_ABORT", kAfdAbort);
  constant("AFD_POLL_LOCAL_CLOSE", kAfdLocalClose);
  constant("AFD_POLL_CONNECT", kAfdConnect);
  constant("AFD_POLL_ACCEPT", kAfdAccept);
  constant("AFD_POLL_CONNECT_FAIL", kAfdConnectFail);
}

}  // namespace selectors
