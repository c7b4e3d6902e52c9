#include "core/args.h"

#include <algorithm>
#include <cmath>

namespace selectors {

Args::Args(napi_env env, napi_callback_info info, size_t max_count) : env_(env), count_(max_count) {
  ok_ = napi_get_cb_info(env, info, &count_, values_.data(), nullptr, &data_) == napi_ok;
  count_ = std::min(count_, max_count);
}

Args::Args(const Napi::CallbackInfo& info) : env_(info.Env()), count_(std::min(info.Length(), kMaxArguments)) {
  for (size_t i = 0; i < count_; ++i) values_[i] = info[i];
}

void Args::Fail(size_t index, const char* expected) {
  if (!ok_) return;
  ok_ = false;
  const std::string message = "native argument " + std::to_string(index) + " must be " + expected;
  napi_throw_type_error(env_, "ERR_INVALID_ARG_TYPE", message.c_str());
}

double Args::NumberAt(size_t index) {
  double value = 0;
  if (!ok_ || index >= count_ || napi_get_value_double(env_, values_[index], &value) != napi_ok) {
    Fail(index, "a number");
    return 0;
  }
  return value;
}

double Args::IntegerAt(size_t index, double min, double max) {
  const double value = NumberAt(index);
  // The condition is negated so that NaN fails. Every limit fits an int64_t; the cast is cheaper than floor().
  if (!(value >= min && value <= max) || value != static_cast<double>(static_cast<int64_t>(value))) {
    Fail(index, "an integer in range");
    return 0;
  }
  return value;
}

Fd Args::FdAt(size_t index) {
  return static_cast<Fd>(IntegerAt(index, static_cast<double>(kMinFd), static_cast<double>(kMaxFd)));
}

double Args::TimeoutAt(size_t index) {
  const double value = NumberAt(index);
  if (std::isnan(value)) {
    Fail(index, "a number of milliseconds");
    return 0;
  }
  return value;
}

bool Args::BooleanAt(size_t index) {
  bool value = false;
  if (!ok_ || index >= count_ || napi_get_value_bool(env_, values_[index], &value) != napi_ok) Fail(index, "a boolean");
  return value;
}

std::string Args::StringAt(size_t index) {
  size_t length = 0;
  if (!ok_ || index >= count_ || napi_get_value_string_utf8(env_, values_[index], nullptr, 0, &length) != napi_ok) {
    Fail(index, "a string");
    return {};
  }
  std::string text(length, '\0');
  // The call also writes the terminating NUL, for which std::string has room.
  napi_get_value_string_utf8(env_, values_[index], text.data(), length + 1, &length);
  return text;
}

template <typename T>
std::span<T> Args::TypedArrayAt(size_t index, napi_typedarray_type type, const char* expected) {
  napi_typedarray_type actual{};
  size_t length = 0;
  void* data = nullptr;
  if (!ok_ || index >= count_ ||
      napi_get_typedarray_info(env_, values_[index], &actual, &length, &data, nullptr, nullptr) != napi_ok ||
      actual != type) {
    Fail(index, expected);
    return {};
  }
  if (data == nullptr) return {};
  return {static_cast<T*>(data), length};
}

std::span<uint8_t> Args::BytesAt(size_t index) {
  return TypedArrayAt<uint8_t>(index, napi_uint8_array, "a Uint8Array");
}

bool Args::IsShared(size_t index) const {
  napi_value buffer = nullptr;
  bool is_own = true;  // napi_is_arraybuffer is false for a SharedArrayBuffer
  return napi_get_typedarray_info(env_, values_[index], nullptr, nullptr, nullptr, &buffer, nullptr) == napi_ok &&
         napi_is_arraybuffer(env_, buffer, &is_own) == napi_ok && !is_own;
}

std::span<uint8_t> Args::SharedBytesAt(size_t index) {
  const std::span<uint8_t> bytes = BytesAt(index);
  if (ok_ && IsShared(index)) return bytes;
  Fail(index, "a Uint8Array over a SharedArrayBuffer");
  return {};
}

std::span<int32_t> Args::IntsAt(size_t index) {
  return TypedArrayAt<int32_t>(index, napi_int32_array, "an Int32Array");
}

std::span<int32_t> Args::SharedIntsAt(size_t index) {
  const std::span<int32_t> ints = IntsAt(index);
  if (ok_ && IsShared(index)) return ints;
  Fail(index, "an Int32Array over a SharedArrayBuffer");
  return {};
}

std::span<double> Args::DoublesAt(size_t index) {
  return TypedArrayAt<double>(index, napi_float64_array, "a Float64Array");
}

uint32_t Args::ArrayLengthAt(size_t index) {
  uint32_t length = 0;
  bool is_array = false;
  if (!ok_ || index >= count_ || napi_is_array(env_, values_[index], &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env_, values_[index], &length) != napi_ok) {
    Fail(index, "an array");
    return 0;
  }
  return length;
}

napi_value Args::ElementAt(size_t index, uint32_t element) {
  napi_value value = nullptr;
  if (ok_ && napi_get_element(env_, values_[index], element, &value) != napi_ok) {
    // The accessor's exception is pending and reaches the caller.
    ok_ = false;
    return nullptr;
  }
  return value;
}

napi_value ToJavaScript(napi_env env, Result result) {
  const int64_t value = result.ok() ? result.value() : -static_cast<int64_t>(result.error());
  napi_value number = nullptr;
  if (value >= INT32_MIN && value <= INT32_MAX) {
    napi_create_int32(env, static_cast<int32_t>(value), &number);
  } else {
    napi_create_double(env, static_cast<double>(value), &number);
  }
  return number;
}

void Export(napi_env env, napi_value exports, const char* name, napi_callback function) {
  napi_value value = nullptr;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value) == napi_ok) {
    napi_set_named_property(env, exports, name, value);
  }
}

}  // namespace selectors
