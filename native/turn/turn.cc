// One turn of an event loop in two calls. wait() waits in a mechanism, then receives once from each connection that is
// ready; JavaScript handles what came; flush() sends what it wrote. The system calls are those that a plain loop makes,
// in its order: the wait, a recv a connection, a send a connection. What is saved are the crossings between JavaScript
// and C++, each of which costs up to a twentieth of a 64-byte message.
//
// Numbers cross in the memory of the multiplexer. Bytes come in one of two ways:
//
//   a small message, which is the everyday case, is received into a slot, which stays warm in the cache, and is packed
//   behind the last one in the pool;
//   a large one stays in its slot, and the next recv takes the next slot. Either JavaScript gives the slot away with
//   the message and puts another buffer in its place, or it is done with it before the next wait.
//
// There is no state but the slots. Whose turn it is to be received from is told by the array `receiving`: at the index
// of a descriptor stands the generation of the connection that has it, or 0. An event of another generation is a
// former owner's, and not one byte is read for it.
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

// "How many bytes" of an event for which nothing was received.
constexpr int32_t kNotReceived = INT32_MIN;
// Larger messages stay in their slots: to copy 4 KiB costs 2 % of receiving them.
constexpr size_t kMaxPacked = 4096;
constexpr size_t kMaxSlots = 64;
constexpr size_t kOutgoingFields = sizeof(OutgoingPiece) / sizeof(int32_t);

class Turn : public Napi::ObjectWrap<Turn> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Turn", {InstanceMethod<&Turn::SetSlot>("setSlot"), InstanceMethod<&Turn::Wait>("wait")});
  }

  // new Turn(wait): in this multiplexer, whose memory is that of its records.
  explicit Turn(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Turn>(info), multiplexer_(MultiplexerOf(info.Env(), info[0])) {
    if (multiplexer_ == nullptr) Args(info).Fail(0, "the wait of a multiplexer");
  }

 private:
  // setSlot(index, buffer): where a large message goes. The buffer is kept alive until another takes its place.
  void SetSlot(const Napi::CallbackInfo& info) {
    Args args(info);
    const size_t index = args.SizeAt(0, std::min(slots_.size(), kMaxSlots - 1));
    args.BytesAt(1);
    if (!args.ok()) return;
    if (index == slots_.size()) slots_.emplace_back();
    slots_[index] = Napi::Persistent(info[1].As<Napi::Object>());
  }

  // wait(timeout, receiving, most, pool, poolOffset): how many records (core/multiplexer.h) there are, `most` at the
  // most, or a negative error of the wait. The place of bytes is their offset in the pool, or -1 - the slot.
  Napi::Value Wait(const Napi::CallbackInfo& info) {
    Args args(info);
    const double timeout = args.TimeoutAt(0);
    const std::span<const int32_t> receiving = args.IntsAt(1);
    const size_t most = args.SizeAt(2, UINT32_MAX);
    const std::span<uint8_t> pool = args.BytesAt(3);
    size_t pool_used = args.SizeAt(4, pool.size());
    if (multiplexer_ == nullptr) args.Fail(0, "that of a turn with a multiplexer");
    if (!args.ok()) return info.Env().Undefined();

    const std::span<ReadyEvent> room = multiplexer_->records();
    const Result result = multiplexer_->multiplexer().Wait(timeout, room.first(std::min(most, room.size())));
    size_t slot = 0;
    // Nothing of JavaScript's runs before this call returns: memory that is there stays.
    std::span<uint8_t> memory = SlotAt(info.Env(), slot);
    for (ReadyEvent& ready : room.first(static_cast<size_t>(std::max<int64_t>(result.value(), 0)))) {
      ready.received = kNotReceived;
      const size_t fd = static_cast<uint32_t>(ready.fd);
      if ((ready.events & kReadable) == 0 || fd >= receiving.size()) continue;
      const int32_t generation = receiving[fd];
      if (generation == 0 || (ready.generation != 0 && ready.generation != generation)) continue;
      if (memory.empty()) continue;  // no slot is left: JavaScript receives by itself
      ready.generation = generation;
      const Result received = ReceiveBytes(static_cast<Fd>(fd), memory, 0);
      ready.received = static_cast<int32_t>(received.ok() ? received.value() : -received.error());
      // Not read back from `ready`: in shared memory another thread may have written to it.
      const size_t size = static_cast<size_t>(std::max<int64_t>(received.value(), 0));
      if (size == 0) continue;
      if (size <= kMaxPacked && size <= pool.size() - pool_used) {
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

  // The memory of a slot as it is now: empty where there is none, or where it was detached.
  std::span<uint8_t> SlotAt(napi_env env, size_t index) const {
    return index < slots_.size() ? MemoryOf(env, slots_[index].Value()) : std::span<uint8_t>();
  }

  std::shared_ptr<MultiplexerHandle> multiplexer_;
  std::vector<Napi::ObjectReference> slots_;
};

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

// flush(outgoing, count, slab, buffers): sends `count` pieces. A descriptor's answer stands where the length of its
// first piece stood.
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
