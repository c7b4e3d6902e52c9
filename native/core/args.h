// Args: the arguments of one call from JavaScript, checked for type and range.
//
// TypeScript has validated them for its callers; C++ checks them again, for memory safety. The first wrong argument
// leaves a TypeError pending and makes ok() false; every later read returns zero or an empty span. No function here
// runs JavaScript (no getter, no proxy trap), except ElementAt.
//
// The functions that use Args are plain Node-API callbacks: such a call costs about 25 ns, and twice that as a method
// of a wrapped object.
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

  // max_count: how many arguments are fetched. Each one costs a little, whether it is read or not.
  Args(napi_env env, napi_callback_info info, size_t max_count = kMaxArguments);
  explicit Args(const Napi::CallbackInfo& info);

  bool ok() const { return ok_; }
  napi_env env() const { return env_; }
  // Has the caller passed this argument?
  bool HasAt(size_t index) const { return index < count_; }
  // The data pointer that the function was created with.
  void* data() const { return data_; }
  // The argument unchecked; null if it was not passed.
  napi_value ValueAt(size_t index) const { return index < count_ ? values_[index] : nullptr; }

  int IntAt(size_t index) {
    return static_cast<int>(IntegerAt(index, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
  }
  // An integer from 0 to `limit`: an index or a count.
  size_t SizeAt(size_t index, size_t limit) {
    return static_cast<size_t>(IntegerAt(index, 0, static_cast<double>(limit)));
  }
  Fd FdAt(size_t index);
  // Milliseconds; negative: no timeout. Not NaN.
  double TimeoutAt(size_t index);
  double NumberAt(size_t index);
  bool BooleanAt(size_t index);
  std::string StringAt(size_t index);
  // Memory of JavaScript's, valid until the callback returns. Empty if its buffer is detached.
  std::span<uint8_t> BytesAt(size_t index);
  // Memory of a SharedArrayBuffer: valid, and never smaller, as long as the array is referenced. (The memory of an
  // ArrayBuffer may be detached or resized whenever JavaScript runs.)
  std::span<uint8_t> SharedBytesAt(size_t index);
  std::span<int32_t> IntsAt(size_t index);
  std::span<int32_t> SharedIntsAt(size_t index);
  std::span<double> DoublesAt(size_t index);
  // ElementAt runs JavaScript if the array has accessors: call it before any of the functions above that return memory.
  // Null if the accessor threw.
  uint32_t ArrayLengthAt(size_t index);
  napi_value ElementAt(size_t index, uint32_t element);

  // Throws a TypeError, "native argument INDEX must be EXPECTED"; ok() is false from now on. Our own TypeScript never
  // passes such a value.
  void Fail(size_t index, const char* expected);

 private:
  double IntegerAt(size_t index, double min, double max);
  template <typename T>
  std::span<T> TypedArrayAt(size_t index, napi_typedarray_type type, const char* expected);
  bool IsShared(size_t index) const;

  napi_env env_;
  std::array<napi_value, kMaxArguments> values_{};
  size_t count_;
  void* data_ = nullptr;
  bool ok_ = true;
};

// A number: the value, or the negated error.
napi_value ToJavaScript(napi_env env, Result result);

inline double FdToJavaScript(Fd fd) { return fd == kNoFd ? -1 : static_cast<double>(fd); }

void Export(napi_env env, napi_value exports, const char* name, napi_callback function);

}  // namespace selectors
