// Waiter: waits in a background thread, in poll(2) or select(2), while Node's loop runs, and calls back on Node's loop.
//
// The thread only detects that something is ready; it dequeues no event. JavaScript then polls its mechanism without
// waiting: the result is current, and edge-triggered events are not lost. An epoll or kqueue is watched as one
// descriptor, which is readable while one of its own is ready (epoll(7)). A completion port has no descriptor; its
// handle is waited for by Wakeable::WaitInThread.
//
//   idle --start--> waiting --(ready | timeout | interrupt | error)--> returning --callback on Node's loop--> idle
//
// The thread starts with open(), sleeps between waits, and ends with close(), with the object, or with its environment.
// A pending wait keeps its callback (and whatever that refers to) alive and Node's loop running; an idle Waiter does
// neither.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "core/args.h"
#include "core/wait.h"
#include "wait/wait.h"

namespace selectors {
namespace {

// One watched descriptor. A copy: JavaScript may change its list during the wait.
struct Interest {
  Fd fd;
  int events;  // POLLIN, POLLOUT
};

// Both also watch the channel that ends the wait.
Result WaitInPoll(const std::vector<Interest>& interests, Fd interrupt, double timeout) {
  std::vector<PollFd> fds;
  fds.reserve(interests.size() + 1);
  for (const Interest& interest : interests) fds.push_back({interest.fd, static_cast<short>(interest.events), 0});
  fds.push_back({interrupt, POLLIN, 0});
  return Wait(timeout, [&](double remaining) { return PollFds(fds.data(), fds.size(), CeilMilliseconds(remaining)); });
}

Result WaitInSelect(const std::vector<Interest>& interests, Fd interrupt, double timeout) {
  return Wait(timeout, [&](double remaining) {
    fd_set read;
    fd_set write;
    fd_set except;
    FD_ZERO(&read);
    FD_ZERO(&write);
    FD_ZERO(&except);
    size_t count = 1;
    Fd highest = interrupt;
    if (!FitsFdSet(interrupt, 0)) return Result::Error(kInvalidArgument);
    FD_SET(interrupt, &read);
    for (const Interest& interest : interests) {
      if (!FitsFdSet(interest.fd, count++)) return Result::Error(kInvalidArgument);
      if ((interest.events & POLLIN) != 0) FD_SET(interest.fd, &read);
      if ((interest.events & POLLOUT) != 0) FD_SET(interest.fd, &write);
      if (kFailedConnectInExcept && (interest.events & POLLOUT) != 0) FD_SET(interest.fd, &except);
      highest = std::max(highest, interest.fd);
    }
    return SelectFds(highest, &read, &write, &except, remaining);
  });
}

class Waiter : public Napi::ObjectWrap<Waiter> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Waiter",
                       {InstanceMethod<&Waiter::Open>("open"), InstanceMethod<&Waiter::Start>("start"),
                        InstanceMethod<&Waiter::Interrupt>("interrupt"), InstanceMethod<&Waiter::Close>("close")});
  }

  explicit Waiter(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Waiter>(info) {}
  // Collected, or the environment ends (after OnEnvironmentEnd): no wait is pending by now.
  ~Waiter() override { Stop(); }

 private:
  enum class State { kIdle, kWaiting, kReturning, kEnded };

  // open(): 0, or a negative error if the channel or the thread cannot be created.
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (opened_ || ended_) return Napi::Number::New(info.Env(), 0);
    const Result opened = interrupt_.Open();
    if (!opened.ok()) return {info.Env(), ToJavaScript(info.Env(), opened)};
    // No JavaScript function, and no reference to this object: an idle Waiter can be collected.
    if (napi_create_threadsafe_function(Env(), nullptr, nullptr, Napi::String::New(Env(), "selectors-native wait"), 0,
                                        1, nullptr, nullptr, this, OnReturned, &on_returned_) != napi_ok) {
      return Napi::Number::New(info.Env(), -kNoMemory);
    }
    napi_unref_threadsafe_function(Env(), on_returned_);
    const Result started = thread_.Start([](void* self) { static_cast<Waiter*>(self)->Run(); }, this);
    if (!started.ok()) {
      napi_release_threadsafe_function(on_returned_, napi_tsfn_abort);
      return {info.Env(), ToJavaScript(info.Env(), started)};
    }
    napi_add_env_cleanup_hook(Env(), OnEnvironmentEnd, this);
    opened_ = true;
    return Napi::Number::New(info.Env(), 0);
  }

  // start(useSelect, interest, count, timeout, handle, callback): true; false while a wait is pending. Watches `count`
  // pairs [descriptor, POLLIN | POLLOUT] of `interest`; or `handle`, if it is not 0. Calls callback(error) once, on
  // Node's loop; a negative error, or 0.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    Args args(info);
    const bool use_select = args.BooleanAt(0);
    const std::span<int32_t> interest = args.IntsAt(1);
    const size_t count = args.SizeAt(2, interest.size() / 2);
    const double timeout = args.TimeoutAt(3);
    const auto handle = static_cast<uint32_t>(args.SizeAt(4, UINT32_MAX));
    if (args.ok() && !info[5].IsFunction()) args.Fail(5, "a function");
    if (!args.ok()) return info.Env().Undefined();
    if (!opened_ || ended_ || !callback_.IsEmpty()) return Napi::Boolean::New(info.Env(), false);

    callback_ = Napi::Persistent(info[5].As<Napi::Function>());
    napi_ref_threadsafe_function(Env(), on_returned_);
    {
      const std::lock_guard lock(mutex_);
      interests_.clear();
      for (size_t i = 0; i < count; ++i) interests_.push_back({static_cast<Fd>(interest[2 * i]), interest[2 * i + 1]});
      use_select_ = use_select;
      has_handle_ = handle != 0;
      bool was_registered = false;
      wakeable_ = has_handle_ ? FindWakeable(handle, &was_registered) : nullptr;
      interrupted_ = false;
      timeout_ = timeout;
      state_ = State::kWaiting;
    }
    changed_.notify_one();
    return Napi::Boolean::New(info.Env(), true);
  }

  // interrupt(): ends the pending wait, if any; its callback is still called.
  void Interrupt(const Napi::CallbackInfo&) {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kWaiting) Signal();
  }

  void Close(const Napi::CallbackInfo&) { Stop(); }

  void Signal() {
    interrupted_ = true;
    if (wakeable_ != nullptr) wakeable_->EndWaitInThread();
    interrupt_.Signal().Ignore("the channel is open; a full one is signalled already");
  }

  // The background thread.
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return state_ == State::kWaiting || state_ == State::kEnded; });
      if (state_ == State::kEnded) return;
      const std::vector<Interest> interests = std::move(interests_);
      interests_.clear();
      const bool use_select = use_select_;
      const double timeout = timeout_;
      const bool has_handle = has_handle_;
      const std::shared_ptr<Wakeable> wakeable = wakeable_;
      lock.unlock();
      // poll(2) if the channel's descriptor does not fit an fd_set. JavaScript polls its mechanism afterwards anyway.
      const bool in_select = use_select && FitsFdSet(interrupt_.fd(), 0);
      const Result result = has_handle ? WaitInThread(wakeable.get(), timeout)
                                       : (in_select ? WaitInSelect : WaitInPoll)(interests, interrupt_.fd(), timeout);
      lock.lock();
      wakeable_.reset();
      if (state_ == State::kEnded) return;
      state_ = State::kReturning;
      interrupt_.Drain();  // under the lock: an interrupt of this wait does not end the next one
      error_ = result.error();
      if (napi_call_threadsafe_function(on_returned_, nullptr, napi_tsfn_nonblocking) != napi_ok) return;
    }
  }

  // Null: its owner has closed it already. The owner reports that itself.
  Result WaitInThread(Wakeable* wakeable, double timeout) const {
    return wakeable == nullptr ? Result::Ok(0) : wakeable->WaitInThread(timeout, interrupted_);
  }

  // On Node's loop. env is null while that is ending.
  static void OnReturned(napi_env env, napi_value, void* context, void*) {
    if (env == nullptr) return;
    auto* self = static_cast<Waiter*>(context);
    int error = 0;
    {
      const std::lock_guard lock(self->mutex_);
      if (self->state_ != State::kReturning) return;  // closed meanwhile
      self->state_ = State::kIdle;
      error = self->error_;
    }
    napi_unref_threadsafe_function(env, self->on_returned_);
    const Napi::FunctionReference callback = std::move(self->callback_);
    self->callback_ = Napi::FunctionReference();
    Napi::HandleScope scope(env);
    callback.Call({Napi::Number::New(env, -error)});
  }

  // Ends the thread and joins it. The signal ends its wait, so this does not block for long.
  void Stop() {
    if (ended_) return;
    ended_ = true;
    {
      const std::lock_guard lock(mutex_);
      if (state_ == State::kWaiting) Signal();
      state_ = State::kEnded;
    }
    changed_.notify_one();
    thread_.Join();
    interrupt_.Close();
    callback_.Reset();
    if (!opened_) return;
    napi_remove_env_cleanup_hook(Env(), OnEnvironmentEnd, this);
    napi_release_threadsafe_function(on_returned_, napi_tsfn_abort);
  }

  // Runs before Node destroys the thread-safe function: cleanup hooks run in reverse order of their registration.
  static void OnEnvironmentEnd(void* self) { static_cast<Waiter*>(self)->Stop(); }

  // Used by the thread that runs JavaScript.
  bool opened_ = false;
  bool ended_ = false;
  napi_threadsafe_function on_returned_ = nullptr;
  Napi::FunctionReference callback_;
  Thread thread_;

  WakeChannel interrupt_;
  std::atomic<bool> interrupted_ = false;

  // Used by both threads, under the mutex.
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kIdle;
  std::vector<Interest> interests_;
  bool use_select_ = false;
  bool has_handle_ = false;
  std::shared_ptr<Wakeable> wakeable_;
  double timeout_ = kForever;
  int error_ = 0;
};

}  // namespace

void RegisterWaiter(Napi::Env env, Napi::Object exports) { exports.Set("Waiter", Waiter::Define(env)); }

}  // namespace selectors
