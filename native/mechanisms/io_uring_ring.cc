// See io_uring_ring.h.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <mutex>

#include "core/syscall.h"
#include "core/wait.h"
#include "mechanisms/io_uring_ring.h"

namespace selectors::uring {
namespace {

int Setup(uint32_t entries, io_uring_params* params) {
  return static_cast<int>(::syscall(kSetupCall, static_cast<long>(entries), params));
}

int EnterRing(Fd fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, const io_uring_getevents_arg* argument,
              size_t size) {
  return static_cast<int>(::syscall(kEnterCall, static_cast<long>(fd), static_cast<long>(to_submit),
                                    static_cast<long>(min_complete), static_cast<long>(flags), argument, size));
}

int RegisterWith(Fd fd, uint32_t opcode, void* argument, uint32_t count) {
  return static_cast<int>(
      ::syscall(kRegisterCall, static_cast<long>(fd), static_cast<long>(opcode), argument, static_cast<long>(count)));
}

#define NAME(constant) \
  { constant, #constant }
constexpr print::Name kSetupFlags[] = {NAME(IORING_SETUP_CQSIZE), NAME(IORING_SETUP_SUBMIT_ALL),
                                       NAME(IORING_SETUP_COOP_TASKRUN), NAME(IORING_SETUP_SINGLE_ISSUER),
                                       NAME(IORING_SETUP_DEFER_TASKRUN)};
constexpr print::Name kEnterFlags[] = {NAME(IORING_ENTER_GETEVENTS), NAME(IORING_ENTER_EXT_ARG)};
#undef NAME

// Without the offsets of the rings.
void PrintParams(std::string& out, const CallInfo& call, size_t index) {
  const auto& params = *call.As<const io_uring_params*>(index);
  out += "{flags=";
  print::AppendFlags(out, kSetupFlags, params.flags);
  out.append(", sq_entries=").append(std::to_string(params.sq_entries)).append(", cq_entries=");
  out.append(std::to_string(params.cq_entries)).append(", features=");
  print::AppendHexadecimal(out, params.features);
  out += ", ...}";
}
void PrintEnterFlags(std::string& out, const CallInfo& call, size_t index) {
  print::AppendFlags(out, kEnterFlags, call.As<uint32_t>(index), "IORING_ENTER_???");
}

}  // namespace
}  // namespace selectors::uring

namespace selectors {

template <>
inline constexpr SystemCall kSystemCall<uring::Setup>{"io_uring_setup", {In(print::Unsigned), Out(uring::PrintParams)}};
template <>
inline constexpr SystemCall kSystemCall<uring::EnterRing>{
    "io_uring_enter",
    {In(print::Descriptor), In(print::Unsigned), In(print::Unsigned), In(uring::PrintEnterFlags), In(print::Pointer),
     In(print::Unsigned)},
    nullptr,
    Failure::kMinusOne,
    2};
template <>
inline constexpr SystemCall kSystemCall<uring::RegisterWith>{
    "io_uring_register", {In(print::Descriptor), In(print::Unsigned), In(print::Pointer), In(print::Unsigned)}};

}  // namespace selectors

namespace selectors::uring {
namespace {

uint32_t Acquire(const uint32_t* number) {
  return std::atomic_ref(*const_cast<uint32_t*>(number)).load(std::memory_order_acquire);
}

template <typename T>
void Release(T* number, T value) {
  std::atomic_ref(*number).store(value, std::memory_order_release);
}

template <typename T>
T* At(const Mapping& mapping, uint32_t offset) {
  return reinterpret_cast<T*>(mapping.data() + offset);
}

}  // namespace

Mapping::~Mapping() { Close(); }

void Mapping::Close() {
  if (data_ == nullptr) return;
  Call<::munmap>(static_cast<void*>(data_), size_)
      .Ignore("munmap fails only with EINVAL, for what mmap has not returned");
  data_ = nullptr;
  size_ = 0;
}

Result Mapping::Open(size_t size, Fd fd, uint64_t offset) {
  const int flags = fd == kNoFd ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  const Result mapped =
      Call<::mmap>(static_cast<void*>(nullptr), size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  if (!mapped.ok()) return mapped;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer before
  data_ = reinterpret_cast<uint8_t*>(mapped.value());
  size_ = size;
  return Result::Ok(0);
}

void Mapping::Discard() {
  if (data_ == nullptr) return;
  Call<::madvise>(static_cast<void*>(data_), size_, MADV_DONTNEED)
      .Ignore("the memory is freed later, with the mapping");
}

void Mapping::Abandon() {
  // Reachable from here, so that leak detectors do not report it. Shared by all threads.
  static std::mutex mutex;
  static auto* const abandoned = new std::vector<uint8_t*>;
  const std::lock_guard lock(mutex);
  if (data_ != nullptr) abandoned->push_back(data_);
  data_ = nullptr;
  size_ = 0;
}

// Tries the setup flags from the newest kernel to the oldest: completion work only inside io_uring_enter of one thread
// (Linux 6.1), without inter-processor interrupts (5.19), no flags (5.1). The kernel fails with EINVAL for flags that
// it does not know, and also for an invalid number of entries.
Result Ring::Setup(uint32_t entries, uint32_t cq_entries, io_uring_params* params) {
  constexpr uint32_t kFlagSets[] = {
      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
      0,
  };
  Result result = Result::Error(kInvalidArgument);
  for (const uint32_t flags : kFlagSets) {
    *params = {};
    params->flags = flags;
    if (cq_entries != 0) {
      params->flags |= IORING_SETUP_CQSIZE;
      params->cq_entries = cq_entries;
    }
    result = Call<uring::Setup>(entries, params);
    if (result.ok() || result.error() != kInvalidArgument) return result;
  }
  return result;
}

Result Ring::Open(uint32_t entries, uint32_t cq_entries) {
  io_uring_params params{};
  const Result result = Setup(entries, cq_entries, &params);
  if (!result.ok()) return result;
  UniqueFd fd(static_cast<Fd>(result.value()));
  // Linux 5.11. Without EXT_ARG a wait has no timeout, and without NODROP completions may be lost.
  constexpr uint32_t kNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  if ((params.features & kNeeded) != kNeeded) return Result::Error(ENOSYS);
  const size_t sq_size = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  const size_t cq_size = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  Result mapped = rings_.Open(std::max(sq_size, cq_size), fd.get(), IORING_OFF_SQ_RING);
  if (mapped.ok()) mapped = sqes_.Open(params.sq_entries * sizeof(io_uring_sqe), fd.get(), IORING_OFF_SQES);
  if (!mapped.ok()) return mapped;
  features_ = params.features;
  sq_entries_ = params.sq_entries;
  cq_entries_ = params.cq_entries;
  sq_head_ = At<uint32_t>(rings_, params.sq_off.head);
  sq_tail_shared_ = At<uint32_t>(rings_, params.sq_off.tail);
  cq_head_ = At<uint32_t>(rings_, params.cq_off.head);
  cq_tail_ = At<uint32_t>(rings_, params.cq_off.tail);
  cqes_ = At<io_uring_cqe>(rings_, params.cq_off.cqes);
  // Entry i of the queue is always entry i of the array.
  auto* const array = At<uint32_t>(rings_, params.sq_off.array);
  for (uint32_t i = 0; i < sq_entries_; ++i) array[i] = i;
  fd_ = std::move(fd);
  was_opened_ = true;
  return result;
}

void Ring::Close() {
  fd_ = UniqueFd();
  rings_.Close();
  sqes_.Close();
}

uint32_t Ring::SqHead() const { return Acquire(sq_head_); }

io_uring_sqe* Ring::GetSqe() {
  if (unsubmitted() == sq_entries_) return nullptr;
  io_uring_sqe* const sqe = EntryAt(sq_tail_);
  *sqe = {};
  ++sq_tail_;
  return sqe;
}

const io_uring_sqe* Ring::EntryFromEnd(uint32_t i) const { return EntryAt(sq_tail_ - 1 - i); }

void Ring::RemoveLast(uint32_t count) {
  count = std::min(count, unsubmitted());
  if (instruments_completions_ || instrumented_index_ != 0) [[unlikely]]
    RemoveInstrumented(count);
  sq_tail_ -= count;
}

uint32_t Ring::completions() const { return Acquire(cq_tail_) - *cq_head_; }

bool Ring::Pop(io_uring_cqe* cqe) {
  const uint32_t head = *cq_head_;
  if (head == Acquire(cq_tail_)) return false;
  *cqe = cqes_[head & (cq_entries_ - 1)];
  Release(cq_head_, head + 1);
  if (instruments_completions_) [[unlikely]]
    InstrumentCompletion(cqe);
  return true;
}

namespace {

// Retries of a call that does not wait after a signal (EINTR). Then EINTR is reported.
constexpr int kMaxInterruptions = 8;

// Between two calls while the kernel is out of memory: for an entry (io_uring_enter(2), EAGAIN), or for the data of a
// thread that submits for the first time (ENOMEM).
void SleepOneMillisecond() {
  const timespec millisecond{0, 1'000'000};
  Call<::nanosleep>(&millisecond, static_cast<timespec*>(nullptr)).Ignore("EINTR: a shorter sleep is enough");
}

}  // namespace

Result Ring::Enter(uint32_t min_complete, double timeout) {
  const Result result = SubmitAndWait(min_complete, timeout);
  was_refused_ = !result.ok();
  return result;
}

Result Ring::SubmitAndWait(uint32_t min_complete, double timeout) {
  if (IsInstrumented()) [[unlikely]]
    InstrumentEntries();
  // The kernel reads the tail only inside io_uring_enter: SQPOLL is not used.
  Release(sq_tail_shared_, sq_tail_);
  min_complete = std::min(min_complete, cq_entries_);  // the completion queue holds no more
  const double deadline = timeout > 0 ? MonotonicMilliseconds() + timeout : 0;
  int64_t submitted = 0;
  int interruptions = 0;
  for (double remaining = timeout;;) {
    const uint32_t to_await = timeout == 0 || completions() >= min_complete ? 0 : min_complete;
    kernel_timespec time{};
    if (remaining > 0) {
      const SecondsAndNanoseconds split = SplitTimeout(remaining, 1);
      time = {split.seconds, split.nanoseconds};
    }
    // 8 is _NSIG / 8, the size of the kernel's sigset_t. It must be set although there is no signal mask.
    const io_uring_getevents_arg argument{0, 8, 0, remaining > 0 ? reinterpret_cast<uintptr_t>(&time) : 0};
    const Result result = Call<EnterRing>(fd_.get(), unsubmitted(), to_await,
                                          IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
    if (result.ok()) submitted += result.value();
    const bool is_interrupted = !result.ok() && result.error() == kInterrupted;
    const bool timed_out = !result.ok() && result.error() == ETIME;
    const bool lacks_memory = !result.ok() && (result.error() == EAGAIN || result.error() == ENOMEM);
    const bool retries = lacks_memory && timeout != 0;
    if (!result.ok() && !is_interrupted && !timed_out && !retries) return result;
    // An interrupted call that does not wait has done nothing: it has not run pending completions.
    if (is_interrupted && timeout == 0) {
      if (++interruptions < kMaxInterruptions) continue;
      return result;
    }
    if (retries) {
      if (completions() > 0) return Result::Ok(submitted);  // taking completions frees memory
      SleepOneMillisecond();
    }
    if (unsubmitted() == 0 && (timeout == 0 || completions() >= min_complete)) return Result::Ok(submitted);
    if (result.ok() && unsubmitted() > 0 && result.value() == 0) return Result::Error(EBUSY);
    if (timeout > 0) {
      remaining = deadline - MonotonicMilliseconds();
      if (remaining <= 0) return Result::Ok(submitted);
    }
  }
}

Result Ring::Register(uint32_t opcode, void* argument, uint32_t count) const {
  return Call<RegisterWith>(fd_.get(), opcode, argument, count);
}

Result ProvidedBuffers::Open(const Ring& ring, uint32_t count, uint32_t size) {
  Result result = ring_.Open(count * sizeof(io_uring_buf), kNoFd, 0);
  if (result.ok()) result = memory_.Open(static_cast<size_t>(count) * size, kNoFd, 0);
  if (!result.ok()) return result;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(ring_.data());
  registration.ring_entries = count;
  result = ring.Register(IORING_REGISTER_PBUF_RING, &registration, 1);
  if (!result.ok()) return result;
  count_ = count;
  size_ = size;
  is_provided_.assign(count, false);
  for (uint32_t buffer = 0; buffer < count; ++buffer) Provide(buffer);
  return result;
}

void ProvidedBuffers::Provide(uint32_t buffer) {
  if (buffer >= count_ || is_provided_[buffer]) return;
  is_provided_[buffer] = true;
  auto* const entries = reinterpret_cast<io_uring_buf*>(ring_.data());
  io_uring_buf& entry = entries[tail_ & (count_ - 1)];
  entry.addr = reinterpret_cast<uintptr_t>(At(buffer).data());
  entry.len = size_;
  entry.bid = static_cast<uint16_t>(buffer);
  ++tail_;
  Release(&entries[0].resv, tail_);
}

}  // namespace selectors::uring
