// Fault plans: rules that make system calls fail, transfer less, or take longer, for tests.
//
// core/syscall.h consults the plans before each call, in the branch that tracing also uses: while there is neither a
// plan nor a trace, a call costs nothing extra.
//
// A plan applies to an environment (the main thread, a worker) and the threads that it has started, or to all threads
// of the process. Its counters are in memory that JavaScript allocates and reads. A worker that joins the plan of its
// parent counts in the same memory, and sees there when the plan has stopped.
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

// A rule counts the calls with one of its names, from 1, and injects its fault into some of them.
struct FaultRule {
  std::vector<std::string> names;
  Fault fault;
  double first = 1;        // the first call that may fail
  double last = 1;         // the last one, inclusive; infinity: no last one
  double every = 1;        // only calls whose number is a multiple of this
  double probability = 1;  // of each remaining call, above 0 and up to 1
};

// A plan's counters, in memory that JavaScript reads too (src/trace/faults.ts).
struct FaultCounters {
  struct RuleCounters {
    std::atomic<uint64_t> calls;
    std::atomic<uint64_t> injected;
  };

  std::atomic<uint32_t> stopped;  // not 0: the plan no longer has any effect
  uint32_t unused;
  RuleCounters rules[1];  // one per rule of the plan

  static constexpr size_t SizeFor(size_t rules) { return 8 + rules * sizeof(RuleCounters); }
};
static_assert(sizeof(FaultCounters) == FaultCounters::SizeFor(1) && alignof(FaultCounters) == 8);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

class FaultPlan {
 public:
  // The counters start as zeros. Their memory must stay valid until the plan is removed.
  FaultPlan(std::vector<FaultRule> rules, uint64_t seed, FaultCounters* counters)
      : rules_(std::move(rules)), seed_(seed), counters_(counters) {}

  bool IsStopped() const { return counters_->stopped.load(std::memory_order_relaxed) != 0; }
  // Counts the call in each rule that names it. If `fault` is kNone, it becomes the fault of the first rule that
  // applies.
  void Apply(std::string_view name, Fault* fault);

 private:
  bool IsChosen(size_t index, uint64_t count) const;

  const std::vector<FaultRule> rules_;
  const uint64_t seed_;
  FaultCounters* const counters_;
};

// The plans of an environment, or of the process, in the order in which they were started. Thread-safe.
class FaultPlans {
 public:
  static FaultPlans& OfProcess();

  FaultPlans() = default;
  FaultPlans(const FaultPlans&) = delete;
  FaultPlans& operator=(const FaultPlans&) = delete;
  ~FaultPlans();

  void Add(const std::shared_ptr<FaultPlan>& plan);
  // When this returns, the plan's memory is no longer written to.
  void Remove(const std::shared_ptr<FaultPlan>& plan);
  void Apply(std::string_view name, Fault* fault);

 private:
  template <typename Predicate>
  void RemoveIf(Predicate is_removed);

  std::mutex mutex_;
  std::vector<std::shared_ptr<FaultPlan>> plans_;
};

// The fault for this call of this thread, which the plans count: those of its environment first, then the process's.
Fault TakeFault(std::string_view name);

// ----------------------------------------------------------------------------------------- what differs between calls

// The index of the function's length argument, which kShort reduces. -1: none.
template <auto Function>
inline constexpr int kLengthArgument = -1;

// Reduces the length argument to at most max_length. A function whose length is in a structure has a specialisation
// beside its kSystemCall; the object then owns the modified structure until the call has returned.
template <auto Function>
struct ShortenedCall {
  template <typename... Arguments>
  void Shorten(uint64_t max_length, Arguments&... arguments) {
    size_t index = 0;
    (ShortenAt(max_length, index++, arguments), ...);
  }

 private:
  template <typename Argument>
  static void ShortenAt(uint64_t max_length, size_t index, Argument& argument) {
    if constexpr (std::is_integral_v<Argument>) {
      if (static_cast<int>(index) != kLengthArgument<Function>) return;
      const auto limit = static_cast<uint64_t>(std::numeric_limits<Argument>::max());
      argument = std::min(argument, static_cast<Argument>(std::min(max_length, limit)));
    }
  }
};

// Is the system call made although a plan injects an error into it? Some calls take effect even when they report one.
template <auto Function>
struct InjectedError {
  template <typename... Arguments>
  static bool MakesCall(int, Arguments&...) {
    return false;
  }
};
// close(2) and munmap(2) release their resource even when they fail (close(2), "Dealing with error returns").
struct AlwaysMakesCall {
  template <typename... Arguments>
  static bool MakesCall(int, Arguments&...) {
    return true;
  }
};

}  // namespace selectors
