// What all mechanisms answer in the same shape: a wait, for what it was told of before. The selectors use it and the
// loops' turn (turn/turn.cc), and both know none of the mechanisms. addon.cc brings them together.
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

// One descriptor, and what it was found ready for, as it crosses to JavaScript: five numbers.
struct ReadyEvent {
  int32_t fd;
  int32_t generation;  // what it was registered with; 0 where the mechanism keeps none
  int32_t events;      // kReadable, kWritable; a hang-up or an error is every direction's business
  int32_t received;    // the turn's: how many bytes
  int32_t location;    // the turn's: where they are
};

// One mechanism, with what its wait needs: that is built when something else is to be watched, not for each wait.
class Multiplexer {
 public:
  Multiplexer() = default;
  Multiplexer(const Multiplexer&) = delete;
  Multiplexer& operator=(const Multiplexer&) = delete;
  virtual ~Multiplexer() = default;

  // From now on: what is in `set`, the descriptor of epoll or kqueue; for select and poll, the pairs [descriptor,
  // POLLIN | POLLOUT] of `interest`. Where that is refused (EINVAL), what was watched before still is.
  virtual Result Watch(Fd set, std::span<const int32_t> interest) = 0;
  // How many it put into `out`, each descriptor once; up to `timeout` milliseconds, negative: for ever. What finds no
  // room there is told by the next wait.
  virtual Result Wait(double timeout, std::span<ReadyEvent> out) = 0;
};

// A multiplexer that JavaScript has, and the memory for its records: of a SharedArrayBuffer, which nobody can take
// away, so that it is looked at once, and not in each call.
class MultiplexerHandle {
 public:
  explicit MultiplexerHandle(std::unique_ptr<Multiplexer> multiplexer) : multiplexer_(std::move(multiplexer)) {}

  Multiplexer& multiplexer() { return *multiplexer_; }
  // Another thread that has the memory may write to it at any moment.
  std::span<ReadyEvent> records() const { return records_; }
  void SetRecords(Napi::Env env, napi_value memory, std::span<ReadyEvent> room) {
    if (room.data() != records_.data()) memory_ = Napi::Persistent(Napi::Object(env, memory));
    records_ = memory_.IsEmpty() ? std::span<ReadyEvent>() : room;
  }

 private:
  std::unique_ptr<Multiplexer> multiplexer_;
  Napi::ObjectReference memory_;
  std::span<ReadyEvent> records_;
};

// wait(timeout): how many records there are in its memory, or a negative error. All that it calls is compiled into it:
// behind a system call the processor has forgotten where functions return to, and each of them costs as much as ten
// that it knows (measured: 360 ns became 345).
template <typename Mechanism>
[[gnu::flatten]] napi_value WaitCallback(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const double timeout = args.TimeoutAt(0);
  if (!args.ok()) return nullptr;
  auto* const open = static_cast<MultiplexerHandle*>(args.data());
  return ToJavaScript(env, static_cast<Mechanism&>(open->multiplexer()).Mechanism::Wait(timeout, open->records()));
}

// Those that are compiled here, by name.
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

// The one whose wait() this value is; null where it is something else.
std::shared_ptr<MultiplexerHandle> MultiplexerOf(napi_env env, napi_value wait);

// exports.multiplexers: a function for each, by name, that makes one and answers its wait(timeout).
// exports.prepareWait: what that waits for. The rows must outlive the addon.
void RegisterMultiplexers(Napi::Env env, Napi::Object exports, std::span<const MultiplexerRow> rows);

}  // namespace selectors
