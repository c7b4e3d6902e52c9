// What a system call answered: a value, or the operating system's own error number (errno, or WSAGetLastError).
//
// Nothing here throws. An error crosses into JavaScript as a negative number and becomes an Error there
// (src/errors.ts), because a throw and catch costs as much as a whole 64-byte message and "would block" is an everyday
// answer.
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

  // An error that is expected here. The reason says why it changes nothing.
  void Ignore([[maybe_unused]] const char* reason) const {}

 private:
  constexpr Result(int64_t value, int error) : value_(value), error_(error) {}

  int64_t value_;
  int error_;
};

}  // namespace selectors
