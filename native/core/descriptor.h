// The owners of descriptors. UniqueFd owns one in C++. For TypeScript, the class Descriptor owns one and Descriptors
// owns all those of a loop; both close them when they are garbage-collected, and when their environment (a worker
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
      Close().Ignore("the old descriptor is closed whatever close(2) returns");
      fd_ = other.Release();
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Close().Ignore("the descriptor is closed whatever close(2) returns"); }

  Fd get() const { return fd_; }
  Fd Release() {
    const Fd fd = fd_;
    fd_ = kNoFd;
    return fd;
  }
  // Closes once; later calls do nothing. Not retried after EINTR: Linux has released the number by then (close(2)).
  Result Close() {
    if (fd_ == kNoFd) return Result::Ok(0);
    return CloseFd(Release());
  }

 private:
  Fd fd_ = kNoFd;
};

// The descriptors of an environment that are open and have no owner in JavaScript yet. A worker may be terminated
// between opening a descriptor and constructing its owner; then its environment closes the descriptor.
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

// A number: the descriptor that was just opened, now in UnclaimedFds; or the negated error.
napi_value NewFdToJavaScript(napi_env env, Result opened);

// exports.Descriptor: new Descriptor(fd); close() -> 0 or a negative error; release() -> the number, which stays open.
// exports.Descriptors: new Descriptors(); add(fd); close(fd) -> 0 or a negative error; remove(fd); closeAll().
void RegisterDescriptor(Napi::Env env, Napi::Object exports);

}  // namespace selectors
