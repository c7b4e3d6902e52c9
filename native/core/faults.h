// Fault plans: rules by which system calls fail, are short, or are slow on purpose. core/syscall.h asks the plans
// before each call, in the branch that the trace has too: while there is neither, a call costs what it costs without
// them.
//
// A plan applies to an environment (the main thread, a worker) with the threads that it has started, or to all threads
// of the process. Its counters stand in memory that JavaScript gives and reads: workers that join a plan of the thread
// that has started them count in the same memory, and see there that it has stopped.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace selectors {

struct Fault {
  enum class Kind : uint8_t {
    kNone,
    kError,  // the call is not made; value: the system's error number
    kShort,  // the call is made with a length of at most `value`
    kSlow,   // the thread sleeps `value` milliseconds before the call
  };
  Kind kind = Kind::kNone;
  double value = 0;

  int error() const { return kind == Kind::kError ? static_cast<int>(value) : 0; }
};

// What a rule says of the calls with one of its names, which it counts from 1.
struct FaultRule {
  std::vector<std::string> names;
  Fault fault;
  double first = 1;  // those from this one
  double last = 1;   // to this one; infinity: without an end
  double every = 1;  // of them those whose number this divides
  double probability = 1;
};

// As JavaScript reads it (src/trace/faults.ts).
struct FaultCounters {
  struct RuleCounters {
    std::atomic<uint64_t> calls;
    std::atomic<uint64_t> injected;
  };

  std::atomic<uint32_t> stopped;  // not 0: the plan has no effect any more
  uint32_t unused;
  RuleCounters rules[1];  // as many as the plan has

  static constexpr size_t SizeFor(size_t rules) { return 8 + rules * sizeof(RuleCounters); }
};
static_assert(sizeof(FaultCounters) == FaultCounters::SizeFor(1) && alignof(FaultCounters) == 8);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

class FaultPlan {
 public:
  // Zeros at first. The memory stays where it is until the plan is removed.
  FaultPlan(std::vector<FaultRule> rules, uint64_t seed, FaultCounters* counters)
      : rules_(std::move(rules)), seed_(seed), counters_(counters) {}

  bool IsStopped() const { return counters_->stopped.load(std::memory_order_relaxed) != 0; }
  // Counts the call in each rule that names it. `fault` becomes that of the first rule that applies, where it is none
  // yet.
  void Apply(std::string_view name, Fault* fault);

 private:
  bool IsChosen(size_t rule, uint64_t count) const;

  const std::vector<FaultRule> rules_;
  const uint64_t seed_;
  FaultCounters* const counters_;
};

// The plans of an environment, or of the process, in the order in which they were started. Any thread may call it.
class FaultPlans {
 public:
  static FaultPlans& OfProcess();

  FaultPlans() = default;
  FaultPlans(const FaultPlans&) = delete;
  FaultPlans& operator=(const FaultPlans&) = delete;
  ~FaultPlans();

  void Add(const std::shared_ptr<FaultPlan>& plan);
  // The plan's memory is not written to from here on.
  void Remove(const std::shared_ptr<FaultPlan>& plan);
  void Apply(std::string_view name, Fault* fault);

 private:
  template <typename Predicate>
  void RemoveIf(Predicate is_over);

  std::mutex mutex_;
  std::vector<std::shared_ptr<FaultPlan>> plans_;
};

// What the plans have for this call of this thread: those of its environment first, then those of the process.
Fault TakeFault(std::string_view name);

// ----------------------------------------------------------------------------------------- what differs between calls

// Which argument of a function is the length that a fault makes smaller. -1: none.
template <auto Function>
inline constexpr int kLengthArgument = -1;

// Makes the length among the arguments smaller. Calls whose length stands in a structure have a specialisation beside
// their row, which may keep what the arguments point to meanwhile.
template <auto Function>
struct ShortenedCall {
  template <typename... Arguments>
  void Shorten(uint64_t most, Arguments&... arguments) {
    size_t index = 0;
    (ShortenAt(most, index++, arguments), ...);
  }

 private:
  template <typename Argument>
  static void ShortenAt(uint64_t most, size_t index, Argument& argument) {
    if constexpr (std::is_integral_v<Argument>) {
      if (static_cast<int>(index) != kLengthArgument<Function>) return;
      const auto limit = static_cast<uint64_t>(std::numeric_limits<Argument>::max());
      argument = std::min(argument, static_cast<Argument>(std::min(most, limit)));
    }
  }
};

// Is a call made although it fails by a plan? The system does the work of some before it reports an error.
template <auto Function>
struct InjectedError {
  template <typename... Arguments>
  static bool MakesCall(int, Arguments&...) {
    return false;
  }
};
// A descriptor is closed, and memory unmapped, whatever the call answers (close(2), "Dealing with error returns").
struct AlwaysMakesCall {
  template <typename... Arguments>
  static bool MakesCall(int, Arguments&...) {
    return true;
  }
};

}  // namespace selectors
