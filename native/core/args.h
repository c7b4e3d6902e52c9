// The arguments of one call from JavaScript, read strictly. C++ never trusts them: TypeScript has checked them for its
// callers, and here they are checked again for the memory's sake. The first wrong one leaves a TypeError pending and
// makes ok() false; whatever is read after it is zero or empty. Nothing here runs JavaScript (no getter, no proxy
// trap), but for ElementAt.
//
// The functions that use it are plain napi callbacks: a call costs some 25 ns with them, twice that with wrapped
// objects.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

class Args {
 public:
  static constexpr size_t kMaxArguments = 9;

  // `most`: as many as are read. Others cost a little all the same.
  Args(napi_env env, napi_callback_info info, size_t most = kMaxArguments);
  explicit Args(const Napi::CallbackInfo& info);

  bool ok() const { return ok_; }
  napi_env env() const { return env_; }
  // Was so much said?
  bool HasAt(size_t index) const { return index < count_; }
  // What the function carries.
  void* data() const { return data_; }
  // As it is; null where there are not as many.
  napi_value ValueAt(size_t index) const { return index < count_ ? values_[index] : nullptr; }

  int IntAt(size_t index) {
    return static_cast<int>(WholeAt(index, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
  }
  // At most `limit`: an index or a count into something that long.
  size_t SizeAt(size_t index, size_t limit) {
    return static_cast<size_t>(WholeAt(index, 0, static_cast<double>(limit)));
  }
  Fd FdAt(size_t index);
  // Milliseconds; negative: for ever. Not NaN.
  double TimeoutAt(size_t index);
  double NumberAt(size_t index);
  bool BooleanAt(size_t index);
  std::string StringAt(size_t index);
  // Memory that belongs to JavaScript: valid until the callback returns. Empty when its buffer was detached.
  std::span<uint8_t> BytesAt(size_t index);
  // Memory that threads share, of a SharedArrayBuffer: nobody takes it away, or makes it smaller, as long as somebody
  // holds the array. All other memory may go at any moment.
  std::span<uint8_t> SharedBytesAt(size_t index);
  std::span<int32_t> IntsAt(size_t index);
  std::span<int32_t> SharedIntsAt(size_t index);
  std::span<double> DoublesAt(size_t index);
  // Of an array. Reading an element may run JavaScript, where somebody has given the array accessors: before the memory
  // of any other argument is looked at. Null where that threw.
  uint32_t ArrayLengthAt(size_t index);
  napi_value ElementAt(size_t index, uint32_t element);

  // A value that no TypeScript caller lets through: a TypeError, and ok() is false from here on.
  void Fail(size_t index, const char* what);

 private:
  double WholeAt(size_t index, double least, double most);
  template <typename T>
  std::span<T> TypedArrayAt(size_t index, napi_typedarray_type type, const char* what);
  bool IsShared(size_t index) const;

  napi_env env_;
  std::array<napi_value, kMaxArguments> values_{};
  size_t count_;
  void* data_ = nullptr;
  bool ok_ = true;
};

// The value, or the error negated.
napi_value ToJavaScript(napi_env env, Result result);

inline double FdToJavaScript(Fd fd) { return fd == kNoFd ? -1 : static_cast<double>(fd); }

void Export(napi_env env, napi_value exports, const char* name, napi_callback function);

}  // namespace selectors
