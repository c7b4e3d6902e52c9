// Multiplexer: the interface of select, poll, epoll and kqueue to the selectors and to the loops' turn (turn/turn.cc):
// Watch() sets the interest, Wait() returns what is ready. Its users do not know the mechanisms; addon.cc lists them.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "core/args.h"
#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

enum : int32_t { kReadable = 1, kWritable = 2 };

// One ready descriptor, as JavaScript reads it: five 32-bit integers (READY_FIELDS).
struct ReadyEvent {
  int32_t fd;
  int32_t generation;  // the generation it was registered with; 0: the mechanism keeps none
  int32_t events;      // kReadable, kWritable; a hang-up or an error is reported as every requested direction
  int32_t received;    // turn/turn.cc: the number of bytes received
  int32_t location;    // turn/turn.cc: where they are
};

// One mechanism with its interest list, which is built when the interest changes, not for each wait.
class Multiplexer {
 public:
  Multiplexer() = default;
  Multiplexer(const Multiplexer&) = delete;
  Multiplexer& operator=(const Multiplexer&) = delete;
  virtual ~Multiplexer() = default;

  // Sets what the next waits watch. epoll, kqueue, /dev/poll: `set` is their descriptor, AFD: its handle; `interest` is
  // not used. select, poll: `interest` has pairs [descriptor, POLLIN | POLLOUT]. After an error (EINVAL) the old
  // interest remains.
  virtual Result Watch(Fd set, std::span<const int32_t> interest) = 0;
  // Waits up to `timeout` milliseconds (negative: no timeout) and returns how many records it wrote to `out`, one per
  // descriptor. Ready descriptors that do not fit are reported by the next wait.
  virtual Result Wait(double timeout, std::span<ReadyEvent> out) = 0;
};

// A multiplexer of JavaScript's with the memory for its records. That is a SharedArrayBuffer's, which can neither be
// detached nor shrink: it is looked up once, not in each call.
class MultiplexerHandle {
 public:
  explicit MultiplexerHandle(std::unique_ptr<Multiplexer> multiplexer) : multiplexer_(std::move(multiplexer)) {}

  Multiplexer& multiplexer() { return *multiplexer_; }
  // Another thread that has the SharedArrayBuffer may write here at any time.
  std::span<ReadyEvent> records() const { return records_; }
  void SetRecords(Napi::Env env, napi_value memory, std::span<ReadyEvent> records) {
    if (records.data() != records_.data()) memory_ = Napi::Persistent(Napi::Object(env, memory));
    records_ = memory_.IsEmpty() ? std::span<ReadyEvent>() : records;
  }

 private:
  std::unique_ptr<Multiplexer> multiplexer_;
  Napi::ObjectReference memory_;
  std::span<ReadyEvent> records_;
};

// wait(timeout): the number of records in its memory, or a negative error. Everything it calls is inlined (flatten): a
// system call flushes the return stack buffer, so the first returns after it mispredict (measured: 360 ns became 345).
template <typename Mechanism>
[[gnu::flatten]] napi_value WaitCallback(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const double timeout = args.TimeoutAt(0);
  if (!args.ok()) return nullptr;
  auto* const handle = static_cast<MultiplexerHandle*>(args.data());
  return ToJavaScript(env, static_cast<Mechanism&>(handle->multiplexer()).Mechanism::Wait(timeout, handle->records()));
}

// One mechanism of the list in addon.cc: its name, its constructor and its wait().
struct MultiplexerRow {
  const char* name;
  std::unique_ptr<Multiplexer> (*make)();
  napi_callback wait;
};
template <typename Mechanism>
constexpr MultiplexerRow MultiplexerRowOf(const char* name) {
  return {name, []() -> std::unique_ptr<Multiplexer> { return std::make_unique<Mechanism>(); },
          WaitCallback<Mechanism>};
}

// The multiplexer whose wait() this value is; null: it is something else.
std::shared_ptr<MultiplexerHandle> MultiplexerOf(napi_env env, napi_value wait);

// exports.multiplexers: by name, a function that creates one and returns its wait(timeout).
// exports.prepareWait: sets what a wait() watches. The rows must outlive the addon.
void RegisterMultiplexers(Napi::Env env, Napi::Object exports, std::span<const MultiplexerRow> rows);

}  // namespace selectors
