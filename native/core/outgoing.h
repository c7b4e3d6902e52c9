// What a loop has to send, as it crosses from JavaScript in one call: three numbers a piece, and the memory they name.
#pragma once

#include <span>
#include <vector>

#include "core/args.h"

namespace selectors {

// A piece to send. Pieces of one descriptor that follow one another are sent as one.
struct OutgoingPiece {
  int32_t fd;
  int32_t location;  // offset in the slab, or -1 - the index in the array of buffers
  int32_t length;    // in the first piece of a descriptor, afterwards: how many bytes were sent, or a negative error
};

// An Int32Array seen as records of so many numbers.
template <typename Record>
std::span<Record> RecordsIn(std::span<int32_t> numbers) {
  static_assert(alignof(Record) == alignof(int32_t));
  return {reinterpret_cast<Record*>(numbers.data()), numbers.size() / (sizeof(Record) / sizeof(int32_t))};
}

// The bytes of a Uint8Array as they are now; none where it is something else, or has lost its memory.
std::span<uint8_t> MemoryOf(napi_env env, napi_value value);

// The elements of an array, `most` at the most: an array can say any length without having any memory. To be read
// before the memory of any other argument is looked at: an array of somebody else's may have accessors, and those may
// take it away.
std::vector<napi_value> ElementsOf(Args& args, size_t index, size_t most);

// The pieces that one flush sends. Valid until its call returns.
class OutgoingPieces {
 public:
  // outgoing, count, slab and buffers are the arguments 0 to 3.
  explicit OutgoingPieces(Args& args);

  std::span<OutgoingPiece> all() const { return outgoing_; }
  // The end of the group that begins with this piece: those of the same descriptor.
  size_t EndOfGroup(size_t first) const;
  std::span<const uint8_t> BytesOf(size_t piece) const;

 private:
  napi_env env_;
  std::vector<napi_value> buffers_;
  std::span<OutgoingPiece> outgoing_;
  std::span<const uint8_t> slab_;
};

}  // namespace selectors
