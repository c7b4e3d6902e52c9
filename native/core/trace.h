// The trace: every system call that is made through core/syscall.h, recorded where it is made.
//
// A row names the system call and says how each of its arguments is printed, as strace prints it. What the kernel reads
// is printed before the call, what it writes when it has returned.
//
// Who records is an environment (the main thread, a worker) with the threads that it has started (platform.h, Thread).
// It records into memories that were given to it, of which there may be several, each shared with other threads and
// processes: the caller of startTrace() reads it, whatever those who write to it do meanwhile.
//
//   memory   a header, then `capacity` places for records, a power of two
//
//   place    free --the tail is moved--> claimed --written--> ready (its number stands in it) --the head is moved-->
//   free
//                                           |
//                                           +--given up by the reader--> free again when its writer has written, or
//                                           never
//
// Nobody waits for anybody: where no place is free, the record is dropped, and counted. A process may be killed between
// claiming and writing: after a while the reader goes on with the next place, and counts that record as dropped. The
// writer may only have been stopped (SIGSTOP), so nobody else is given the place before it has written.
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

// One call: its arguments as the kernel gets them and, once it has returned, its answer.
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

// Prints the argument of this index; others may say how long it is.
using Printer = void (*)(std::string& out, const CallInfo& call, size_t index);

struct Argument {
  Printer print = nullptr;
  bool before = false;  // printed before the call: the kernel reads it
  bool after = false;   // printed when the call has returned: the kernel has written it
};
constexpr Argument In(Printer print) { return {print, true, false}; }
constexpr Argument Out(Printer print) { return {print, false, true}; }
// Printed twice, the second time behind what was printed before.
constexpr Argument InOut(Printer print) { return {print, true, true}; }

// What a call answers when it has failed.
enum class Failure { kMinusOne, kZero, kErrorNumber };

struct SystemCall {
  const char* name;
  std::array<Argument, CallInfo::kMaxArguments> arguments;
  // What strace prints behind the result, in parentheses.
  Printer returned = nullptr;
  Failure failure = Failure::kMinusOne;
};

// The row of a function. A call of one that has none does not compile.
struct UnlistedFunction {};
template <auto Function>
inline constexpr UnlistedFunction kSystemCall{};

// ------------------------------------------------------------------------------------------------------------ printers

namespace print {

void Decimal(std::string& out, const CallInfo& call, size_t index);
void Unsigned(std::string& out, const CallInfo& call, size_t index);
void Hexadecimal(std::string& out, const CallInfo& call, size_t index);
void Octal(std::string& out, const CallInfo& call, size_t index);
// An address, or NULL.
void Pointer(std::string& out, const CallInfo& call, size_t index);
// Of no argument: what the system call has where the function has none.
void Null(std::string& out, const CallInfo& call, size_t index);
void Zero(std::string& out, const CallInfo& call, size_t index);
// Bytes whose number is the next argument; those whose number is the result.
void Sent(std::string& out, const CallInfo& call, size_t index);
void Received(std::string& out, const CallInfo& call, size_t index);
// A string that ends with a NUL.
void Path(std::string& out, const CallInfo& call, size_t index);

// At most this many bytes of a string, and elements of an array: then "...".
inline constexpr size_t kMaxShown = 32;

// [one, two, ...]: append(element) for each that is shown.
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
// "hello\n"
void AppendBytes(std::string& out, const void* bytes, size_t size);

struct Name {
  int64_t value;
  const char* name;
};
// The value's name, or the value as hexadecimal behind `unknown`, where there is one: 0x7 /* AF_??? */
void AppendName(std::string& out, std::span<const Name> names, int64_t value, const char* unknown = nullptr);
// EPOLLIN|EPOLLOUT|0x100; 0 where there is none.
void AppendFlags(std::string& out, std::span<const Name> names, uint64_t value, const char* unknown = nullptr);

}  // namespace print

// ------------------------------------------------------------------------------------------------------------
// recording

// As JavaScript reads it (src/trace/trace-memory.ts).
struct TraceHeader {
  // Any other file is left alone, whatever path somebody gives: "sntr".
  static constexpr uint32_t kMagic = 0x72746e73;

  std::atomic<uint32_t> tail;     // how many places were claimed
  std::atomic<uint32_t> head;     // how many were read
  std::atomic<uint32_t> dropped;  // for how many there was no place
  std::atomic<uint32_t> stopped;  // not 0: nobody shall write to it any more
  uint32_t capacity;
  uint32_t magic;
  double start;  // milliseconds on the monotonic clock, which all processes of a system share
};
struct TraceRecord {
  static constexpr size_t kMaxText = 456;
  // `ready` is one of these, or of its record: then it is odd.
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kAbandoned = 2;
  static constexpr uint32_t ReadyOf(uint32_t sequence) { return sequence << 1 | 1; }

  std::atomic<uint32_t> ready;
  int32_t process;
  uint32_t thread;
  int32_t error;
  double start;     // milliseconds since the header's
  double duration;  // milliseconds
  double result;
  uint8_t name_length;
  uint8_t returned_length;
  uint16_t arguments_length;
  uint32_t fault;       // what a plan has done to the call: a Fault::Kind
  char text[kMaxText];  // the name, the arguments, and what stands behind the result
};
static_assert(sizeof(TraceHeader) == 32 && sizeof(TraceRecord) == 504 && alignof(TraceRecord) == 8);

// Of an environment, and of the threads that it has started.
class Recorder : public std::enable_shared_from_this<Recorder> {
 public:
  // Of the thread that asks; null where it has none.
  static std::shared_ptr<Recorder> OfCurrentThread();

  ~Recorder();
  // What Remove() takes. 0: that is no memory for a trace. The memory stays where it is until Remove().
  uint64_t Add(std::span<uint8_t> memory);
  bool Has(const uint8_t* memory);
  // Nothing is written to it from here on.
  void Remove(uint64_t id);
  bool IsRecording();
  void Record(const SystemCall& call, const CallInfo& made, int error, Fault::Kind fault, double start, double end,
              const std::string& arguments);
  // The fault plans of the same threads.
  FaultPlans& faults() { return faults_; }

 private:
  // The capacity is the one that was checked: others may write to the memory.
  struct Memory {
    uint64_t id;
    uint8_t* data;
    uint32_t capacity;
  };
  struct Place {
    TraceRecord* record;
    uint32_t sequence;
    uint32_t ready;  // what stood there
  };

  static bool Claim(const Memory& memory, Place* place);
  template <typename Predicate>
  void RemoveIf(Predicate is_over);

  std::mutex mutex_;
  uint64_t last_id_ = 0;
  std::vector<Memory> memories_;
  FaultPlans faults_;
};

// As long as it lives, the calls of the thread that has made it are this recorder's. That is no thread's own
// destructor's affair: the addon is unloaded with the last environment that has it, and its threads go on (under Wine
// they hang then).
class RecorderScope {
 public:
  explicit RecorderScope(std::shared_ptr<Recorder> recorder);
  RecorderScope(const RecorderScope&) = delete;
  RecorderScope& operator=(const RecorderScope&) = delete;
  ~RecorderScope();

 private:
  std::shared_ptr<Recorder> recorder_;
};

// The recorders and the fault plans of this process. While there are none, one load of it is all that a call costs
// more.
extern std::atomic<int> instrument_count;
inline bool IsInstrumented() { return instrument_count.load(std::memory_order_relaxed) != 0; }

// One call, from before it is made until it has returned.
class TracedCall {
 public:
  TracedCall(const SystemCall& call, std::initializer_list<uint64_t> arguments);
  void Returned(const Result& result, Fault::Kind fault);

 private:
  const SystemCall& call_;
  CallInfo info_;
  std::array<std::string, CallInfo::kMaxArguments> printed_;
  Recorder* recorder_;  // null: nobody records
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
