// Result: what a system call returned, a value or the operating system's error number (errno, or WSAGetLastError).
//
// Nothing here throws. An error crosses to JavaScript as a negative number and becomes an Error there (src/errors.ts):
// "would block" is a common result, and throw and catch cost as much as handling a 64-byte message.
#pragma once

#include <cstdint>

namespace selectors {

class [[nodiscard]] Result {
 public:
  static constexpr Result Ok(int64_t value) { return {value, 0}; }
  static constexpr Result Error(int code) { return {-1, code}; }

  constexpr bool ok() const { return error_ == 0; }
  constexpr int64_t value() const { return value_; }
  constexpr int error() const { return error_; }

  // Discards an expected error. `reason`: why it has no consequence.
  void Ignore([[maybe_unused]] const char* reason) const {}

 private:
  constexpr Result(int64_t value, int error) : value_(value), error_(error) {}

  int64_t value_;
  int error_;
};

}  // namespace selectors
