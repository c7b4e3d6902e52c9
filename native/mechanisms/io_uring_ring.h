// The ring itself: the submission queue, the completion queue, and the system calls io_uring_setup, io_uring_enter and
// io_uring_register; the part of liburing that is needed here. For use by one thread.
#pragma once

#include <sys/socket.h>

#include <cstdlib>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/descriptor.h"
#include "core/faults.h"
#include "mechanisms/io_uring_abi.h"

namespace selectors::uring {

// A mapping (mmap(2)) of the ring's memory or of anonymous memory. The destructor unmaps it.
class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  // fd kNoFd: anonymous memory.
  Result Open(size_t size, Fd fd, uint64_t offset);
  // Never unmaps it: the kernel may still write to it.
  void Abandon();
  // Unmaps it.
  void Close();
  // Frees the memory and keeps the addresses mapped; they read as zeros (madvise(2), MADV_DONTNEED).
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

// Memory of an operation; null if there is none left.
using Memory = std::unique_ptr<uint8_t[], FreeMemory>;
// From this size, an allocator takes pages from mmap(2): they are zeroed, and untouched until they are used.
constexpr size_t kZeroedMemory = size_t{1} << 20;

// Zeroed if `size` is kZeroedMemory or more.
inline Memory AllocateMemory(size_t size) {
  void* const memory = size >= kZeroedMemory ? std::calloc(1, size) : std::malloc(size == 0 ? 1 : size);
  return Memory(static_cast<uint8_t*>(memory));
}

class Ring {
 public:
  // Can be called once. cq_entries 0: twice the submission queue.
  Result Open(uint32_t entries, uint32_t cq_entries);
  bool is_open() const { return fd_.get() != kNoFd; }
  bool was_opened() const { return was_opened_; }
  Fd fd() const { return fd_.get(); }
  uint32_t features() const { return features_; }
  uint32_t sq_entries() const { return sq_entries_; }
  uint32_t cq_entries() const { return cq_entries_; }
  // Also unmaps the rings: check is_open() before anything that reads them.
  void Close();

  // A zeroed entry, which the next Enter submits; null if the queue is full.
  io_uring_sqe* GetSqe();
  uint32_t unsubmitted() const { return sq_tail_ - SqHead(); }
  // The i-th entry from the end of the queue; 0: the last.
  const io_uring_sqe* EntryFromEnd(uint32_t i) const;
  // Removes the last `count` entries, which are not submitted yet.
  void RemoveLast(uint32_t count);

  // io_uring_enter(2), in one place. Submits all entries, and waits until `min_complete` completions are ready or
  // `timeout` milliseconds have passed; negative: forever. Returns the number of submitted entries. Fails with EBUSY if
  // some are not submitted: completions must be taken first. Out of memory: fails with EAGAIN or ENOMEM if timeout is
  // 0; else retries, as long as there are no completions to take.
  Result Enter(uint32_t min_complete, double timeout);
  // True if the last Enter failed for now (EAGAIN, EBUSY, EINTR, ENOMEM): entries may be unsubmitted and completions
  // pending.
  bool was_refused() const { return was_refused_; }
  // Takes the next completion. False: there is none.
  bool Pop(io_uring_cqe* cqe);
  uint32_t completions() const;

  Result Register(uint32_t opcode, void* argument, uint32_t count) const;

 private:
  uint32_t SqHead() const;
  io_uring_sqe* EntryAt(uint32_t index) const {
    return reinterpret_cast<io_uring_sqe*>(sqes_.data()) + (index & (sq_entries_ - 1));
  }
  // io_uring_instruments.cc
  void InstrumentEntries();
  void RemoveInstrumented(uint32_t count);
  void InstrumentCompletion(io_uring_cqe* cqe);
  // io_uring_faults.cc
  Fault TakeFaultOf(io_uring_sqe* sqe);
  bool ApplyInjectedResult(io_uring_cqe* cqe);
  // io_uring_trace.cc
  std::string DescribeSubmission(const io_uring_sqe& sqe);
  void TraceCompletion(const io_uring_cqe& cqe, bool is_injected);
  void ForgetSubmission(uint64_t user_data);
  Result SubmitAndWait(uint32_t min_complete, double timeout);
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
  // Results that a fault plan has set for completions that have not arrived yet.
  struct Injected {
    uint64_t user_data;
    int32_t result;
  };
  std::vector<Injected> injected_;
  // Entries that a trace has recorded and whose last completion has not arrived, by user_data. The trace shows a number
  // in place of the user_data. Several cancels may be in flight with one user_data.
  struct Submission {
    uint32_t number;
    uint32_t in_flight;
    const char* name;
  };
  std::unordered_map<uint64_t, Submission> submissions_;
  uint32_t last_number_ = 0;
  // A fault plan or a trace needs to see the completions.
  bool instruments_completions_ = false;
  // The first entry that was not instrumented.
  uint32_t instrumented_index_ = 0;
};

// Provided buffers (IORING_REGISTER_PBUF_RING): `count` buffers of `size` bytes that the kernel receives into, and the
// ring through which they are provided. JavaScript sees the memory as one ArrayBuffer, so it is freed when neither uses
// it.
class ProvidedBuffers {
 public:
  Result Open(const Ring& ring, uint32_t count, uint32_t size);
  void Abandon() {
    ring_.Abandon();
    memory_.Abandon();
    count_ = 0;
  }
  // The kernel has put bytes into this buffer. It does not use it again before Provide.
  void MarkUsed(uint32_t buffer) {
    if (buffer < count_) is_provided_[buffer] = false;
  }
  void Provide(uint32_t buffer);
  // To be called when the kernel no longer uses the buffers. JavaScript may still have the ArrayBuffer: the addresses
  // stay mapped until it is collected.
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
  std::vector<bool> is_provided_;
};

}  // namespace selectors::uring
