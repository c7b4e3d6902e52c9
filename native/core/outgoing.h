// The data that a loop sends in one call from JavaScript: three numbers per piece, and the memory that they refer to.
#pragma once

#include <span>
#include <vector>

#include "core/args.h"

namespace selectors {

// One piece of data to send (OUTGOING_FIELDS). Consecutive pieces of the same descriptor are a group, sent in one call.
struct OutgoingPiece {
  int32_t fd;
  int32_t location;  // offset in the slab, or -1 - the index in the array of buffers
  int32_t length;    // in a group's first piece the result replaces it: the number of bytes sent, or a negative error
};

// An Int32Array as records.
template <typename Record>
std::span<Record> RecordsIn(std::span<int32_t> numbers) {
  static_assert(alignof(Record) == alignof(int32_t));
  return {reinterpret_cast<Record*>(numbers.data()), numbers.size() / (sizeof(Record) / sizeof(int32_t))};
}

// The current memory of a Uint8Array; empty if the value is something else or its buffer is detached.
std::span<uint8_t> MemoryOf(napi_env env, napi_value value);

// The elements of an array of at most `max_count`: a sparse array can have any length. Call it before reading the
// memory of any other argument: the array may have accessors, which may detach that memory.
std::vector<napi_value> ElementsOf(Args& args, size_t index, size_t max_count);

// The pieces that one flush() sends. Valid until the call from JavaScript returns.
class OutgoingPieces {
 public:
  // Reads the arguments 0 to 3: outgoing, count, slab, buffers.
  explicit OutgoingPieces(Args& args);

  std::span<OutgoingPiece> all() const { return outgoing_; }
  // The index after the group that begins with this piece.
  size_t EndOfGroup(size_t first) const;
  std::span<const uint8_t> BytesOf(size_t piece) const;

 private:
  napi_env env_;
  std::vector<napi_value> buffers_;
  std::span<OutgoingPiece> outgoing_;
  std::span<const uint8_t> slab_;
};

}  // namespace selectors
