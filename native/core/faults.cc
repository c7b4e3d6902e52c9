#include "core/faults.h"

#include <algorithm>
#include <cmath>

#include "core/trace.h"

namespace selectors {
namespace {

// The number of plans in this process: while it is 0, a traced call takes no lock here.
std::atomic<int> fault_plans{0};

// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

}  // namespace

// Depends on the seed, the rule and the call's number only: the scheduling of threads does not change the choice.
bool FaultPlan::IsChosen(size_t index, uint64_t count) const {
  const FaultRule& rule = rules_[index];
  const auto number = static_cast<double>(count);
  if (number < rule.first || number > rule.last || std::fmod(number, rule.every) != 0) return false;
  if (rule.probability >= 1) return true;
  const uint64_t bits = Mix(Mix(Mix(seed_) ^ index) ^ count);
  return static_cast<double>(bits >> 11) * 0x1p-53 < rule.probability;
}

void FaultPlan::Apply(std::string_view name, Fault* fault) {
  for (size_t i = 0; i < rules_.size(); ++i) {
    const std::vector<std::string>& names = rules_[i].names;
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    FaultCounters::RuleCounters& counters = counters_->rules[i];
    const uint64_t count = counters.calls.fetch_add(1) + 1;
    if (fault->kind != Fault::Kind::kNone || !IsChosen(i, count)) continue;
    counters.injected.fetch_add(1);
    *fault = rules_[i].fault;
  }
}

FaultPlans& FaultPlans::OfProcess() {
  // Never destroyed: a worker may still run while the main thread exits.
  static auto* const plans = new FaultPlans;
  return *plans;
}

FaultPlans::~FaultPlans() {
  RemoveIf([](const std::shared_ptr<FaultPlan>&) { return true; });
}

void FaultPlans::Add(const std::shared_ptr<FaultPlan>& plan) {
  const std::lock_guard lock(mutex_);
  plans_.push_back(plan);
  ++fault_plans;
  ++instrument_count;
}

void FaultPlans::Remove(const std::shared_ptr<FaultPlan>& plan) {
  const std::lock_guard lock(mutex_);
  RemoveIf([&plan](const std::shared_ptr<FaultPlan>& one) { return one == plan; });
}

void FaultPlans::Apply(std::string_view name, Fault* fault) {
  const std::lock_guard lock(mutex_);
  // Plans that another thread has stopped: removed here, so that later calls no longer pay for them.
  RemoveIf([](const std::shared_ptr<FaultPlan>& one) { return one->IsStopped(); });
  for (const std::shared_ptr<FaultPlan>& plan : plans_) plan->Apply(name, fault);
}

template <typename Predicate>
void FaultPlans::RemoveIf(Predicate is_removed) {
  const auto removed = static_cast<int>(std::erase_if(plans_, is_removed));
  fault_plans -= removed;
  instrument_count -= removed;
}

Fault TakeFault(std::string_view name) {
  Fault fault;
  if (fault_plans.load(std::memory_order_relaxed) == 0) return fault;
  if (const std::shared_ptr<Recorder> recorder = Recorder::OfCurrentThread()) recorder->faults().Apply(name, &fault);
  FaultPlans::OfProcess().Apply(name, &fault);
  return fault;
}

}  // namespace selectors
