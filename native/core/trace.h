// Tracing: how each system call that core/syscall.h makes is printed and recorded, and each operation that a program
// submits to io_uring or IOCP and takes the completion of.
//
// A SystemCall names the call and has a printer for each argument; the output is strace's. What the kernel reads is
// printed before the call, what it writes after it.
//
// An environment (the main thread, a worker) has a Recorder, which the threads that it starts share (Thread in
// platform.h). A recorder writes to one or more rings in memory, each shared with other threads and processes. The
// caller of startTrace() reads the ring while they write.
//
//   ring   a header, then `capacity` slots of one record each; capacity is a power of two
//
//   slot   free --writer advances tail--> claimed --writer stores--> ready --reader advances head--> free
//                                            |
//                                            +--reader abandons it--> free once its writer has stored, if ever
//
// Tracing is lossy and never blocks: if no slot is free, the record is dropped and counted. A process may be killed
// while it has a claimed slot: after a while the reader abandons the slot, counts the record as dropped and continues.
// The writer may only be stopped (SIGSTOP), so an abandoned slot is not claimed again before its writer has stored.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/faults.h"
#include "core/result.h"

namespace selectors {

// One call, as its printers see it: the arguments as passed to the kernel and, once it has returned, the result.
struct CallInfo {
  static constexpr size_t kMaxArguments = 10;
  std::array<uint64_t, kMaxArguments> arguments{};
  bool has_returned = false;
  bool ok = false;
  int64_t result = 0;

  template <typename T>
  T As(size_t index) const {
    if constexpr (std::is_pointer_v<T>) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer before
      return reinterpret_cast<T>(static_cast<uintptr_t>(arguments[index]));
    } else {
      return static_cast<T>(arguments[index]);
    }
  }
};

// Appends the argument at `index` to `out`. Other arguments may have its length.
using Printer = void (*)(std::string& out, const CallInfo& call, size_t index);

struct Argument {
  Printer print = nullptr;
  bool before = false;  // printed before the call: the kernel reads it
  bool after = false;   // printed when the call has returned: the kernel has written it
};
constexpr Argument In(Printer print) { return {print, true, false}; }
constexpr Argument Out(Printer print) { return {print, false, true}; }
// Printed before and after; the second text is appended to the first.
constexpr Argument InOut(Printer print) { return {print, true, true}; }

// How a function reports failure: by -1, by 0, or by returning the error number itself.
enum class Failure { kMinusOne, kZero, kErrorNumber };

// How one system call is printed, and how it fails.
struct SystemCall {
  const char* name;
  std::array<Argument, CallInfo::kMaxArguments> arguments;
  // Prints what strace shows after the result, in parentheses.
  Printer returned = nullptr;
  Failure failure = Failure::kMinusOne;
  // Of a wait for events: the index of the argument that is 0 if the call returns at once. -1: it is no such wait.
  int wait_argument = -1;
};

// The SystemCall of a function, by specialisation (platform/system_calls.h). Call<> of a function without one does not
// compile.
struct UnlistedFunction {};
template <auto Function>
inline constexpr UnlistedFunction kSystemCall{};

// ------------------------------------------------------------------------------------------------------------ printers

namespace print {

void Decimal(std::string& out, const CallInfo& call, size_t index);
void Unsigned(std::string& out, const CallInfo& call, size_t index);
void Hexadecimal(std::string& out, const CallInfo& call, size_t index);
void Octal(std::string& out, const CallInfo& call, size_t index);
// An address, or "NULL".
void Pointer(std::string& out, const CallInfo& call, size_t index);
// Constants, for arguments that the system call has and the C function does not.
void Null(std::string& out, const CallInfo& call, size_t index);
void Zero(std::string& out, const CallInfo& call, size_t index);
// Bytes: the length is the next argument (Sent), or the result (Received).
void Sent(std::string& out, const CallInfo& call, size_t index);
void Received(std::string& out, const CallInfo& call, size_t index);
// A NUL-terminated string.
void Path(std::string& out, const CallInfo& call, size_t index);

// The maximum number of bytes of a string, or elements of an array, that are printed; then "..." follows.
inline constexpr size_t kMaxShown = 32;

// "[one, two, ...]"; append(element) appends one element.
template <typename T, typename Append>
void AppendArray(std::string& out, std::span<T> elements, Append append, const char* separator = ", ") {
  out += '[';
  for (size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out += separator;
    if (i == kMaxShown) {
      out += "...";
      break;
    }
    append(elements[i]);
  }
  out += ']';
}

void AppendAddress(std::string& out, const void* address);
void AppendDecimal(std::string& out, int64_t value);
void AppendUnsigned(std::string& out, uint64_t value);
void AppendHexadecimal(std::string& out, uint64_t value);
// A quoted string with C escapes: "hello\n".
void AppendBytes(std::string& out, const void* bytes, size_t size);

struct Name {
  int64_t value;
  const char* name;
};
// The value's name; without one, hexadecimal, and `unknown` in a comment if given: 0x7 /* AF_??? */
void AppendName(std::string& out, std::span<const Name> names, int64_t value, const char* unknown = nullptr);
// EPOLLIN|EPOLLOUT|0x100; "0" if no flag is set.
void AppendFlags(std::string& out, std::span<const Name> names, uint64_t value, const char* unknown = nullptr);

}  // namespace print

// ----------------------------------------------------------------------------------------------------------- recording

// The header of a ring. src/trace/trace-memory.ts creates and reads it.
struct TraceHeader {
  // "sntr". A file without it is not a ring, and is not written to.
  static constexpr uint32_t kMagic = 0x72746e73;

  std::atomic<uint32_t> tail;     // how many slots were claimed
  std::atomic<uint32_t> head;     // how many were read
  std::atomic<uint32_t> dropped;  // how many records found no free slot
  std::atomic<uint32_t> stopped;  // not 0: nothing is written any more
  uint32_t capacity;
  uint32_t magic;
  double start;         // milliseconds of the monotonic clock, which all processes of a system share
  uint32_t calls_only;  // not 0: no submissions and no completions
  uint32_t unused;
};
// A system call, or an operation of a proactor's mechanism: what was submitted, or that it has completed.
enum class RecordKind : uint8_t { kCall, kSubmission, kCompletion };
// A slot of a ring.
struct TraceRecord {
  static constexpr size_t kMaxText = 456;
  // The values of `ready`: one of these, or ReadyOf(the record's number), which is odd.
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kAbandoned = 2;
  static constexpr uint32_t ReadyOf(uint32_t sequence) { return sequence << 1 | 1; }
  // The bits of `marks`: made while SetProbing(true); a slice of a longer wait, see SetSliceCell().
  static constexpr uint8_t kProbe = 1;
  static constexpr uint8_t kSlice = 2;

  std::atomic<uint32_t> ready;
  int32_t process;
  uint32_t thread;
  int32_t error;
  double start;     // milliseconds since TraceHeader::start
  double duration;  // milliseconds
  double result;
  uint8_t name_length;
  uint8_t returned_length;
  uint16_t arguments_length;
  uint16_t fault;       // a Fault::Kind: the fault that was injected
  uint8_t kind;         // a RecordKind
  uint8_t marks;        // kProbe, kSlice
  char text[kMaxText];  // the name, the arguments, and SystemCall::returned's output
};
static_assert(sizeof(TraceHeader) == 40 && sizeof(TraceRecord) == 504 && alignof(TraceRecord) == 8);

// An operation that was submitted, or the completion of one.
struct OperationRecord {
  RecordKind kind = RecordKind::kSubmission;
  const char* name = "";
  std::string arguments{};
  int64_t result = 0;   // of a completion; -1 if it failed
  int error = 0;        // of a completion
  std::string flags{};  // of a completion
  Fault::Kind fault = Fault::Kind::kNone;
};

// Writes the calls of one environment, and of the threads that it has started, to its rings. Also has their fault
// plans. Thread-safe.
class Recorder : public std::enable_shared_from_this<Recorder> {
 public:
  // Null: the calling thread is not recorded.
  static std::shared_ptr<Recorder> OfCurrentThread();

  ~Recorder();
  // Adds a ring and returns its id, for Remove(). 0: that memory is not a ring. It must stay valid until Remove().
  uint64_t Add(std::span<uint8_t> memory);
  bool Has(const uint8_t* memory);
  // When this returns, the ring is no longer written to.
  void Remove(uint64_t id);
  bool IsRecording();
  // True if the calling thread is recorded in a ring with submissions and completions.
  static bool RecordsOperations();
  // Records an operation of the calling thread.
  static void RecordOperation(const OperationRecord& operation);
  void Record(const SystemCall& call, const CallInfo& info, int error, Fault::Kind fault, double start, double end,
              const std::string& arguments, bool is_slice);
  // The fault plans of the same threads.
  FaultPlans& faults() { return faults_; }

 private:
  struct Ring {
    uint64_t id;
    uint8_t* data;
    uint32_t capacity;  // a copy of the checked value: other processes can write to the header
    bool calls_only;
  };
  // A record before it is written: times in milliseconds of the monotonic clock.
  struct Fields {
    RecordKind kind;
    const char* name;
    const std::string& arguments;
    const std::string& returned;
    int64_t result;
    int error;
    Fault::Kind fault;
    double start;
    double end;
    bool is_slice = false;
  };
  struct Slot {
    TraceRecord* record;
    uint32_t sequence;
    uint32_t ready;  // record->ready when it was claimed
  };

  static bool Claim(const Ring& ring, Slot* slot);
  template <typename Predicate>
  void RemoveIf(Predicate is_removed);
  void Write(const Fields& fields);

  std::mutex mutex_;
  uint64_t last_id_ = 0;
  std::vector<Ring> rings_;
  FaultPlans faults_;
};

// While it lives, the thread that created it is recorded by this recorder. (Not a thread_local destructor: the addon is
// unloaded with the last environment that uses it while its threads go on; under Wine they then hang.)
class RecorderScope {
 public:
  explicit RecorderScope(std::shared_ptr<Recorder> recorder);
  RecorderScope(const RecorderScope&) = delete;
  RecorderScope& operator=(const RecorderScope&) = delete;
  ~RecorderScope();

 private:
  std::shared_ptr<Recorder> recorder_;
};

// Marks the later records of the calling thread as those of a probe, which only finds out what the system has.
void SetProbing(bool is_probing);

// The calling thread's cell. Not 0: the next call that waits is a slice of a longer wait (src/syscalls/slices.ts); its
// record is marked, and the cell is set to 0. Only recorded calls read it. Null: none.
void SetSliceCell(int32_t* cell);

// The number of rings and fault plans in this process. While it is 0, a call costs one load more.
extern std::atomic<int> instrument_count;
inline bool IsInstrumented() { return instrument_count.load(std::memory_order_relaxed) != 0; }

// Records one call: construct it before the call, then call Returned().
class TracedCall {
 public:
  TracedCall(const SystemCall& call, std::initializer_list<uint64_t> arguments);
  void Returned(const Result& result, Fault::Kind fault);

 private:
  const SystemCall& call_;
  CallInfo info_;
  std::array<std::string, CallInfo::kMaxArguments> printed_;
  Recorder* recorder_;  // null: not recorded
  double start_ = 0;
};

template <typename T>
uint64_t AsArgument(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<uintptr_t>(value);
  } else if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
}

}  // namespace selectors
