// The rings themselves: what liburing does, as far as it is needed here. Of one thread.
#pragma once

#include <sys/socket.h>

#include <cstdlib>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "core/descriptor.h"
#include "mechanisms/io_uring_abi.h"

namespace selectors::uring {

// An mmap of the kernel's or of nobody's, undone at the end.
class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  // fd kNoFd: anonymous memory.
  Result Open(size_t size, Fd fd, uint64_t offset);
  // What the kernel may still write to stays for good.
  void Abandon();
  // Undoes it now.
  void Close();
  // Gives its memory back to the system, and keeps the addresses: who reads there reads zeros (madvise(2)).
  void Discard();
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

struct FreeMemory {
  void operator()(uint8_t* memory) const { std::free(memory); }
};

// Memory that an operation works in. Not zeroed; null where there is none left.
using Memory = std::unique_ptr<uint8_t[], FreeMemory>;
// From here on, an allocator maps pages (mmap(2)): zeroed, and none is touched before it is used.
constexpr size_t kZeroedMemory = size_t{1} << 20;

// Zeroed if it has kZeroedMemory bytes or more.
inline Memory AllocateMemory(size_t size) {
  void* const memory = size >= kZeroedMemory ? std::calloc(1, size) : std::malloc(size == 0 ? 1 : size);
  return Memory(static_cast<uint8_t*>(memory));
}

class Ring {
 public:
  // Once. cq_entries 0: twice the submission queue.
  Result Open(uint32_t entries, uint32_t cq_entries);
  bool is_open() const { return fd_.get() != kNoFd; }
  bool was_opened() const { return was_opened_; }
  Fd fd() const { return fd_.get(); }
  uint32_t features() const { return features_; }
  uint32_t sq_entries() const { return sq_entries_; }
  uint32_t cq_entries() const { return cq_entries_; }
  // Unmaps the rings, too: what counts on them asks is_open() first.
  void Close();

  // A cleared entry, submitted by the next Enter; null where the queue is full.
  io_uring_sqe* NextSqe();
  uint32_t unsubmitted() const { return sq_tail_ - SqHead(); }
  // The i-th entry from the end, 0 the last.
  const io_uring_sqe* FromEnd(uint32_t i) const;
  // Takes the last `count` entries back, which were not submitted yet.
  void TakeBack(uint32_t count);

  // Submits everything, and waits until `least` completions are there or the time is over. How many were submitted.
  // EBUSY: not everything is; completions must be taken first. EAGAIN or ENOMEM, where there is no time at all: memory
  // is short; else that is waited for, as long as there is nothing to be taken.
  Result Enter(uint32_t least, double timeout);
  // Was the last Enter refused (EAGAIN, EBUSY, EINTR, ENOMEM)? Then entries may not be submitted, and completions not
  // run.
  bool was_refused() const { return was_refused_; }
  // The next completion; false: there is none.
  bool Pop(io_uring_cqe* cqe);
  uint32_t completions() const;

  Result Register(uint32_t opcode, void* argument, uint32_t count) const;

 private:
  uint32_t SqHead() const;
  io_uring_sqe* EntryAt(uint32_t index) const {
    return reinterpret_cast<io_uring_sqe*>(sqes_.data()) + (index & (sq_entries_ - 1));
  }
  // io_uring_faults.cc
  void ApplyFaults();
  void ForgetFaults(uint32_t count);
  void TakeInjected(io_uring_cqe* cqe);
  Result TryToEnter(uint32_t least, double timeout);
  Result Setup(uint32_t entries, uint32_t cq_entries, io_uring_params* params);

  UniqueFd fd_;
  uint32_t features_ = 0;
  uint32_t sq_entries_ = 0;
  uint32_t cq_entries_ = 0;
  bool was_refused_ = false;
  bool was_opened_ = false;
  Mapping rings_;
  Mapping sqes_;
  uint32_t* sq_head_ = nullptr;
  uint32_t* sq_tail_shared_ = nullptr;
  uint32_t sq_tail_ = 0;
  uint32_t* cq_head_ = nullptr;
  uint32_t* cq_tail_ = nullptr;
  io_uring_cqe* cqes_ = nullptr;
  // What a fault plan has for completions that are still to come; and the first entry that no plan has looked at.
  struct Injected {
    uint64_t user_data;
    int32_t result;
  };
  std::vector<Injected> injected_;
  bool has_injected_ = false;
  uint32_t looked_at_ = 0;
};

// Memory that the kernel receives into, and the ring by which it is given: `count` buffers of `size` bytes. JavaScript
// sees it too, as one ArrayBuffer; so it stays until neither uses it.
class ProvidedBuffers {
 public:
  Result Open(const Ring& ring, uint32_t count, uint32_t size);
  void Abandon() {
    ring_.Abandon();
    memory_.Abandon();
    count_ = 0;
  }
  // The kernel has filled it; it is ours until it is given back.
  void Taken(uint32_t buffer) {
    if (buffer < count_) is_given_[buffer] = false;
  }
  void GiveBack(uint32_t buffer);
  // When the kernel uses them no longer. JavaScript may still see the addresses, which stay until it has forgotten
  // them.
  void Close() {
    ring_.Close();
    memory_.Discard();
    count_ = 0;
  }
  std::span<uint8_t> At(uint32_t buffer) const {
    if (buffer >= count_) return {};
    return {memory_.data() + static_cast<size_t>(buffer) * size_, size_};
  }
  std::span<uint8_t> all() const { return {memory_.data(), memory_.size()}; }
  uint32_t count() const { return count_; }

 private:
  Mapping ring_;
  Mapping memory_;
  uint32_t count_ = 0;
  uint32_t size_ = 0;
  uint16_t tail_ = 0;
  std::vector<bool> is_given_;
};

}  // namespace selectors::uring
