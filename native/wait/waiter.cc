// A wait beside Node's loop: a thread of its own sits in poll(2) or select(2), and Node's loop is told when it returns.
//
// The thread only finds out that something is ready; it takes no event. JavaScript then asks its mechanism without
// waiting, so what it hears is true at that moment, and edge-triggered events stay where they are. An epoll or kqueue
// set is watched as one descriptor, readable when one of its own is ready (epoll(7)). What is no descriptor (a
// completion port) is waited for by its wake handle (Wakeable::WaitInThread).
//
//   idle --start--> waiting --(ready | time over | interrupt | failed)--> returning --callback on Node's loop--> idle
//
// The thread begins with open(), sleeps in between, and ends with close(), with the object, or with its
// environment. A wait under way keeps its callback, and with it all that the callback uses, alive, and Node's loop
// running; an idle Waiter neither.
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

// What a wait waits for. The descriptors are copied: JavaScript may change its own list meanwhile.
struct Interest {
  Fd fd;
  int events;  // POLLIN, POLLOUT
};

// With the channel that ends the wait among them.
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
  // Collected, or its environment ends after EndWithEnvironment has run: the thread has nothing to wait for by now.
  ~Waiter() override { End(); }

 private:
  enum class State { kIdle, kWaiting, kReturning, kEnded };

  // open(): 0, or a negative error where there is no descriptor left for the channel, or no thread.
  Napi::Value Open(const Napi::CallbackInfo& info) {
    if (opened_ || ended_) return Napi::Number::New(info.Env(), 0);
    const Result opened = interrupt_.Open();
    if (!opened.ok()) return {info.Env(), ToJavaScript(info.Env(), opened)};
    // No function and no reference to this object: an idle Waiter may be collected.
    if (napi_create_threadsafe_function(Env(), nullptr, nullptr, Napi::String::New(Env(), "selectors-native wait"), 0,
                                        1, nullptr, nullptr, this, Returned, &return_) != napi_ok) {
      return Napi::Number::New(info.Env(), -kNoMemory);
    }
    napi_unref_threadsafe_function(Env(), return_);
    const Result started = thread_.Start([](void* self) { static_cast<Waiter*>(self)->Run(); }, this);
    if (!started.ok()) {
      napi_release_threadsafe_function(return_, napi_tsfn_abort);
      return {info.Env(), ToJavaScript(info.Env(), started)};
    }
    napi_add_env_cleanup_hook(Env(), EndWithEnvironment, this);
    opened_ = true;
    return Napi::Number::New(info.Env(), 0);
  }

  // start(useSelect, interest, count, timeout, handle, callback): true, or false while the last wait has not returned.
  // A handle other than 0 is waited for instead of the interest. The callback is called once, on Node's loop, with a
  // negative error or something else.
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
    napi_ref_threadsafe_function(Env(), return_);
    {
      const std::lock_guard lock(mutex_);
      interests_.clear();
      for (size_t i = 0; i < count; ++i) interests_.push_back({static_cast<Fd>(interest[2 * i]), interest[2 * i + 1]});
      use_select_ = use_select;
      is_beside_ = handle != 0;
      bool known = false;
      beside_ = is_beside_ ? FindWakeable(handle, &known) : nullptr;
      interrupted_ = false;
      timeout_ = timeout;
      state_ = State::kWaiting;
    }
    changed_.notify_one();
    return Napi::Boolean::New(info.Env(), true);
  }

  // interrupt(): ends the wait under way, if there is one; its callback still comes.
  void Interrupt(const Napi::CallbackInfo&) {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kWaiting) Signal();
  }

  void Close(const Napi::CallbackInfo&) { End(); }

  void Signal() {
    interrupted_ = true;
    if (beside_ != nullptr) beside_->EndWaitInThread();
    interrupt_.Signal().Ignore("the channel is open and full at the most, which counts as signalled");
  }

  // The thread.
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return state_ == State::kWaiting || state_ == State::kEnded; });
      if (state_ == State::kEnded) return;
      const std::vector<Interest> interests = std::move(interests_);
      interests_.clear();
      const bool use_select = use_select_;
      const double timeout = timeout_;
      const bool is_beside = is_beside_;
      const std::shared_ptr<Wakeable> beside = beside_;
      lock.unlock();
      // poll(2) where fd_set cannot hold the channel that was opened last: what is taken afterwards is select's in any
      // case.
      const bool in_select = use_select && FitsFdSet(interrupt_.fd(), 0);
      const Result result = is_beside ? WaitInThread(beside.get(), timeout)
                                      : (in_select ? WaitInSelect : WaitInPoll)(interests, interrupt_.fd(), timeout);
      lock.lock();
      beside_.reset();
      if (state_ == State::kEnded) return;
      state_ = State::kReturning;
      interrupt_.Drain();  // under the lock: no interrupt meant for this wait is left for the next
      error_ = result.error();
      if (napi_call_threadsafe_function(return_, nullptr, napi_tsfn_nonblocking) != napi_ok) return;
    }
  }

  // Closed by its owner before the wait began: that is for the owner to say.
  Result WaitInThread(Wakeable* wakeable, double timeout) const {
    return wakeable == nullptr ? Result::Ok(0) : wakeable->WaitInThread(timeout, interrupted_);
  }

  // On Node's loop. env is null where that is ending.
  static void Returned(napi_env env, napi_value, void* context, void*) {
    if (env == nullptr) return;
    auto* self = static_cast<Waiter*>(context);
    int error = 0;
    {
      const std::lock_guard lock(self->mutex_);
      if (self->state_ != State::kReturning) return;  // closed meanwhile
      self->state_ = State::kIdle;
      error = self->error_;
    }
    napi_unref_threadsafe_function(env, self->return_);
    const Napi::FunctionReference callback = std::move(self->callback_);
    self->callback_ = Napi::FunctionReference();
    Napi::HandleScope scope(env);
    callback.Call({Napi::Number::New(env, -error)});
  }

  // Ends the thread and waits for it, which it does not keep waiting: the signal reaches it in its wait.
  void End() {
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
    napi_remove_env_cleanup_hook(Env(), EndWithEnvironment, this);
    napi_release_threadsafe_function(return_, napi_tsfn_abort);
  }

  // Runs before Node takes the thread-safe function down: hooks run in the opposite order of their making.
  static void EndWithEnvironment(void* self) { static_cast<Waiter*>(self)->End(); }

  // Of the thread that runs JavaScript.
  bool opened_ = false;
  bool ended_ = false;
  napi_threadsafe_function return_ = nullptr;
  Napi::FunctionReference callback_;
  Thread thread_;

  WakeChannel interrupt_;
  std::atomic<bool> interrupted_ = false;

  // Of both, under the mutex.
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kIdle;
  std::vector<Interest> interests_;
  bool use_select_ = false;
  bool is_beside_ = false;
  std::shared_ptr<Wakeable> beside_;
  double timeout_ = kForever;
  int error_ = 0;
};

}  // namespace

void RegisterWaiter(Napi::Env env, Napi::Object exports) { exports.Set("Waiter", Waiter::Define(env)); }

}  // namespace selectors
