// One turn of a reactor loop in two calls from JavaScript. wait() waits in a multiplexer, then receives once from each
// ready connection; JavaScript handles the bytes; flush() sends what JavaScript has queued. The system calls are those
// of a plain loop, in the same order: the wait, one recv per connection, one send per connection. What is saved are the
// calls between JavaScript and C++, each of which costs up to a twentieth of handling a 64-byte message.
//
// The records are in the memory of the multiplexer (core/multiplexer.h). Received bytes are in one of three places:
//
//   borrowed messages, which JavaScript finishes with before the next wait, are received one behind another into the
//   arena, which is the same memory in each turn, so that it stays in the processor's cache;
//   a small message that JavaScript may keep is received into a slot, and copied behind the previous one in the pool;
//   a large one stays in its slot, and the next recv uses the next slot. JavaScript hands the slot's buffer out with
//   the message, and sets another buffer. Borrowed messages are in slots too where the arena is full.
//
// The slots are the only state. The array `receiving` selects the connections: at the index of a descriptor it has the
// generation of the connection that receives, negative if it borrows, or 0. An event of another generation is stale (it
// belongs to a former owner of the descriptor number), and nothing is received for it.
#include "turn/turn.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "core/args.h"
#include "core/multiplexer.h"
#include "core/outgoing.h"
#include "core/transfer.h"

namespace selectors {
namespace {

// Value of ReadyEvent::received for an event without a recv.
constexpr int32_t kNotReceived = INT32_MIN;
// Larger messages stay in their slots. Copying 4 KiB costs 2 % of receiving them.
constexpr size_t kMaxPackedBytes = 4096;
constexpr size_t kMaxSlots = 64;
// What one recv into the arena takes at most; without that much room, slots are used.
constexpr size_t kMaxReceive = 65536;
// Messages in the arena begin with a cache line.
constexpr size_t kCacheLine = 64;
constexpr size_t kOutgoingFields = sizeof(OutgoingPiece) / sizeof(int32_t);

class Turn : public Napi::ObjectWrap<Turn> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Turn", {InstanceMethod<&Turn::SetSlot>("setSlot"), InstanceMethod<&Turn::Wait>("wait")});
  }

  // new Turn(wait): wait is the wait function of a multiplexer, whose memory holds the records.
  explicit Turn(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Turn>(info), multiplexer_(MultiplexerOf(info.Env(), info[0])) {
    if (multiplexer_ == nullptr) Args(info).Fail(0, "the wait function of a multiplexer");
  }

 private:
  // setSlot(index, buffer): the buffer of a slot. It is kept alive until another buffer replaces it.
  void SetSlot(const Napi::CallbackInfo& info) {
    Args args(info);
    const size_t index = args.SizeAt(0, std::min(slots_.size(), kMaxSlots - 1));
    args.BytesAt(1);
    if (!args.ok()) return;
    if (index == slots_.size()) slots_.emplace_back();
    slots_[index] = Napi::Persistent(info[1].As<Napi::Object>());
  }

  // wait(timeout, receiving, maxRecords, arena, pool, poolOffset): writes at most `maxRecords` records. Returns their
  // number, or a negative error of the wait. ReadyEvent::received: number of bytes, 0 at the end of the stream, a
  // negative error, or NOT_RECEIVED. ReadyEvent::location: offset of the bytes in the arena where they are borrowed,
  // else in the pool; or -1 - index of the slot.
  Napi::Value Wait(const Napi::CallbackInfo& info) {
    Args args(info);
    const double timeout = args.TimeoutAt(0);
    const std::span<const int32_t> receiving = args.IntsAt(1);
    const size_t max_records = args.SizeAt(2, UINT32_MAX);
    const std::span<uint8_t> arena = args.BytesAt(3);
    const std::span<uint8_t> pool = args.BytesAt(4);
    size_t arena_used = 0;
    size_t pool_used = args.SizeAt(5, pool.size());
    if (multiplexer_ == nullptr) args.Fail(0, "a timeout of a Turn that has a multiplexer");
    if (!args.ok()) return info.Env().Undefined();

    const std::span<ReadyEvent> records = multiplexer_->records();
    const Result result =
        multiplexer_->multiplexer().Wait(timeout, records.first(std::min(max_records, records.size())));
    size_t slot = 0;
    // JavaScript does not run until this call returns, so the memory of slots and pool stays valid.
    std::span<uint8_t> memory = SlotAt(info.Env(), slot);
    for (ReadyEvent& ready : records.first(static_cast<size_t>(std::max<int64_t>(result.value(), 0)))) {
      ready.received = kNotReceived;
      const size_t fd = static_cast<uint32_t>(ready.fd);
      if ((ready.events & kReadable) == 0 || fd >= receiving.size()) continue;
      const int32_t receiver = receiving[fd];
      const int32_t generation = receiver < 0 ? -std::max(receiver, -INT32_MAX) : receiver;
      if (generation == 0 || (ready.generation != 0 && ready.generation != generation)) continue;
      const bool in_arena = receiver < 0 && arena.size() - arena_used >= kMaxReceive;
      const std::span<uint8_t> room = in_arena ? arena.subspan(arena_used, kMaxReceive) : memory;
      if (room.empty()) continue;  // no slot is left: JavaScript calls recv
      ready.generation = generation;
      const Result received = ReceiveBytes(static_cast<Fd>(fd), room, 0);
      ready.received = static_cast<int32_t>(received.ok() ? received.value() : -received.error());
      // Taken from `received`: `ready` is in shared memory, which another thread may have overwritten.
      const size_t size = static_cast<size_t>(std::max<int64_t>(received.value(), 0));
      if (size == 0) continue;
      if (in_arena) {
        ready.location = static_cast<int32_t>(arena_used);
        arena_used = std::min(arena_used + (size + kCacheLine - 1) / kCacheLine * kCacheLine, arena.size());
      } else if (receiver > 0 && size <= kMaxPackedBytes && size <= pool.size() - pool_used) {
        std::memmove(&pool[pool_used], memory.data(), size);
        ready.location = static_cast<int32_t>(pool_used);
        pool_used += size;
      } else {
        ready.location = -1 - static_cast<int32_t>(slot);
        memory = SlotAt(info.Env(), ++slot);
      }
    }
    return {info.Env(), ToJavaScript(info.Env(), result)};
  }

  // The present memory of a slot; empty if there is no such slot or its buffer was detached.
  std::span<uint8_t> SlotAt(napi_env env, size_t index) const {
    return index < slots_.size() ? MemoryOf(env, slots_[index].Value()) : std::span<uint8_t>();
  }

  std::shared_ptr<MultiplexerHandle> multiplexer_;
  std::vector<Napi::ObjectReference> slots_;
};

// Sends the consecutive pieces of one descriptor, at most kMaxIov, in one system call.
Result SendGroup(const OutgoingPieces& outgoing, size_t first) {
  const auto fd = static_cast<Fd>(static_cast<uint32_t>(outgoing.all()[first].fd));
  const size_t count = std::min(outgoing.EndOfGroup(first) - first, kMaxIov);
  if (count == 1) return SendBytes(fd, outgoing.BytesOf(first), 0);
  IoBuffer pieces[kMaxIov];
  for (size_t i = 0; i < count; ++i) {
    const std::span<const uint8_t> bytes = outgoing.BytesOf(first + i);
    pieces[i] = {bytes.data(), bytes.size()};
  }
  return SendVectored(fd, pieces, count);
}

// flush(outgoing, count, slab, buffers): sends the first `count` pieces of `outgoing` (core/outgoing.h). The result,
// number of bytes sent or a negative error, overwrites `length` of the first piece of each descriptor.
napi_value Flush(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const OutgoingPieces pieces(args);
  if (!args.ok()) return nullptr;
  for (size_t first = 0; first < pieces.all().size(); first = pieces.EndOfGroup(first)) {
    const Result sent = SendGroup(pieces, first);
    pieces.all()[first].length = static_cast<int32_t>(sent.ok() ? sent.value() : -sent.error());
  }
  return nullptr;
}

}  // namespace

void RegisterTurn(Napi::Env env, Napi::Object exports) {
  exports.Set("Turn", Turn::Define(env));
  Export(env, exports, "flush", Flush);
  exports.Set("OUTGOING_FIELDS", Napi::Number::New(env, static_cast<double>(kOutgoingFields)));
  exports.Set("NOT_RECEIVED", Napi::Number::New(env, kNotReceived));
  exports.Set("MAX_SLOTS", Napi::Number::New(env, static_cast<double>(kMaxSlots)));
}

}  // namespace selectors
