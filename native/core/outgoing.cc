#include "core/outgoing.h"

#include <algorithm>

namespace selectors {

std::span<uint8_t> MemoryOf(napi_env env, napi_value value) {
  napi_typedarray_type type{};
  void* data = nullptr;
  size_t length = 0;
  bool is_typed_array = false;
  if (value == nullptr || napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || data == nullptr) {
    return {};
  }
  return {static_cast<uint8_t*>(data), length};
}

std::vector<napi_value> ElementsOf(Args& args, size_t index, size_t max_count) {
  if (args.ArrayLengthAt(index) > max_count) args.Fail(index, "an array of at most one buffer per piece");
  std::vector<napi_value> elements(args.ok() ? args.ArrayLengthAt(index) : 0);
  for (uint32_t i = 0; i < elements.size(); ++i) elements[i] = args.ElementAt(index, i);
  return elements;
}

// Each piece refers to at most one buffer.
OutgoingPieces::OutgoingPieces(Args& args)
    : env_(args.env()), buffers_(ElementsOf(args, 3, RecordsIn<OutgoingPiece>(args.IntsAt(0)).size())) {
  const std::span<OutgoingPiece> pieces = RecordsIn<OutgoingPiece>(args.IntsAt(0));
  outgoing_ = pieces.first(args.SizeAt(1, pieces.size()));
  slab_ = args.BytesAt(2);
}

size_t OutgoingPieces::EndOfGroup(size_t first) const {
  size_t end = first + 1;
  while (end < outgoing_.size() && outgoing_[end].fd == outgoing_[first].fd) ++end;
  return end;
}

std::span<const uint8_t> OutgoingPieces::BytesOf(size_t piece) const {
  const OutgoingPiece& fields = outgoing_[piece];
  std::span<const uint8_t> memory;
  if (fields.location >= 0) {
    const auto offset = static_cast<size_t>(fields.location);
    if (offset <= slab_.size()) memory = slab_.subspan(offset);
  } else {
    const auto index = static_cast<size_t>(-1 - static_cast<int64_t>(fields.location));
    if (index < buffers_.size()) memory = MemoryOf(env_, buffers_[index]);
  }
  return memory.first(std::min(static_cast<size_t>(std::max(fields.length, 0)), memory.size()));
}

}  // namespace selectors
