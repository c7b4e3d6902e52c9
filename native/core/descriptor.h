// Who closes a descriptor. UniqueFd owns one in C++; the JavaScript class Descriptor owns one for a TypeScript object,
// Descriptors owns many for a loop, and both close them when that is collected, and when its environment (a worker
// thread, the process) ends.
#pragma once

#include <napi.h>

#include <unordered_set>

#include "platform/platform.h"

namespace selectors {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(Fd fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Close().Ignore("the old descriptor is gone whatever close(2) says");
      fd_ = other.Release();
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Close().Ignore("the descriptor is gone whatever close(2) says"); }

  Fd get() const { return fd_; }
  Fd Release() {
    const Fd fd = fd_;
    fd_ = kNoFd;
    return fd;
  }
  // Once only; later calls do nothing. Not repeated after EINTR: Linux has let go of the number by then (close(2)).
  Result Close() {
    if (fd_ == kNoFd) return Result::Ok(0);
    return CloseFd(Release());
  }

 private:
  Fd fd_ = kNoFd;
};

// What an environment has opened and no Descriptor has taken over yet. Between the two, a worker may be terminated:
// what is still here then is closed with its environment.
class UnclaimedFds {
 public:
  static void Add(napi_env env, Fd fd);
  static void Remove(napi_env env, Fd fd);

  UnclaimedFds() = default;
  UnclaimedFds(const UnclaimedFds&) = delete;
  UnclaimedFds& operator=(const UnclaimedFds&) = delete;
  ~UnclaimedFds();

 private:
  std::unordered_set<Fd> fds_;
};

// The number of a descriptor that was opened just now, unclaimed, or the error negated.
napi_value NewFdToJavaScript(napi_env env, Result opened);

// exports.Descriptor: new Descriptor(fd); close() -> 0 or a negative error; release() gives the number up unclosed.
// exports.Descriptors: new Descriptors(); add(fd); close(fd) -> 0 or a negative error; closeAll().
void RegisterDescriptor(Napi::Env env, Napi::Object exports);

}  // namespace selectors
