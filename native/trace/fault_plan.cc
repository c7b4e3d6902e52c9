// FaultPlan: a fault plan (core/faults.h) as JavaScript has it. src/faults/ parses and checks what people write; here
// are names and numbers alone, checked again for the memory's sake.
#include "trace/fault_plan.h"

#include <cmath>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/args.h"
#include "core/environment.h"
#include "core/faults.h"

namespace selectors {
namespace {

// The numbers of a rule: its fault (Fault::Kind), the value of that, and the fields of FaultRule in their order.
constexpr size_t kNumbers = 6;
constexpr size_t kMaxRules = 1000;
constexpr size_t kMaxNames = 65536;  // characters
constexpr double kHighest = 9007199254740991;

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
  }
  return parts;
}

bool IsWhole(double value, double least, double most) {
  return value >= least && value <= most && value == std::floor(value);
}

bool IsValid(const Fault& fault) {
  switch (fault.kind) {
    case Fault::Kind::kError:
      return IsWhole(fault.value, 1, INT32_MAX);
    case Fault::Kind::kShort:
      return IsWhole(fault.value, 1, kHighest);
    case Fault::Kind::kSlow:
      return fault.value > 0 && fault.value <= INT32_MAX;
    case Fault::Kind::kNone:
      return false;
  }
  return false;
}

// Null: not one that a plan may have.
std::optional<FaultRule> RuleOf(const std::string& names, const double* numbers) {
  if (!IsWhole(numbers[0], 1, static_cast<double>(Fault::Kind::kSlow))) return std::nullopt;
  FaultRule rule;
  rule.names = Split(names, ',');
  rule.fault = {static_cast<Fault::Kind>(static_cast<int>(numbers[0])), numbers[1]};
  rule.first = numbers[2];
  rule.last = numbers[3];
  rule.every = numbers[4];
  rule.probability = numbers[5];
  const bool is_range =
      IsWhole(rule.first, 1, kHighest) && (rule.last == INFINITY || IsWhole(rule.last, rule.first, kHighest));
  const bool is_share = IsWhole(rule.every, 1, kHighest) && rule.probability > 0 && rule.probability <= 1;
  return IsValid(rule.fault) && is_range && is_share ? std::optional(rule) : std::nullopt;
}

// Of the arguments names, numbers and seed, which begin here. Empty, and args.ok() is false: they are no plan.
std::vector<FaultRule> RulesAt(Args& args, size_t index, uint64_t* seed) {
  const std::string names = args.StringAt(index);
  const std::span<const double> numbers = args.DoublesAt(index + 1);
  *seed = args.SizeAt(index + 2, UINT32_MAX);
  if (!args.ok()) return {};
  const size_t count = numbers.size() / kNumbers;
  const std::vector<std::string> names_of_rules = Split(names.substr(0, kMaxNames), '\n');
  if (names.size() > kMaxNames || count > kMaxRules || numbers.size() != count * kNumbers ||
      names_of_rules.size() != count) {
    args.Fail(index, "the names of as many rules as there are numbers for");
    return {};
  }
  // Copied first: other threads may write to a Float64Array.
  const std::vector<double> copied(numbers.begin(), numbers.end());
  std::vector<FaultRule> rules;
  for (size_t i = 0; i < count; ++i) {
    std::optional<FaultRule> rule = RuleOf(names_of_rules[i], &copied[i * kNumbers]);
    if (!rule.has_value()) {
      args.Fail(index + 1, "six numbers of a rule, in range");
      return {};
    }
    rules.push_back(std::move(*rule));
  }
  return rules;
}

class FaultPlanObject : public Napi::ObjectWrap<FaultPlanObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "FaultPlan",
        {InstanceMethod<&FaultPlanObject::Start>("start"), InstanceMethod<&FaultPlanObject::Stop>("stop")});
  }

  explicit FaultPlanObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<FaultPlanObject>(info), recorder_(Environment::Of(info.Env()).recorder()) {}
  ~FaultPlanObject() override { End(); }

 private:
  // start(names, numbers, seed, counters, ofProcess, isJoined): 0 or a negative error. EINVAL: it was started already.
  // counters: of a SharedArrayBuffer, FaultCounters of as many rules. isJoined: of the plan of another thread, which
  // does not stop with this object.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    Args args(info);
    uint64_t seed = 0;
    std::vector<FaultRule> rules = RulesAt(args, 0, &seed);
    const std::span<uint8_t> memory = args.SharedBytesAt(3);
    const bool of_process = args.BooleanAt(4);
    const bool is_joined = args.BooleanAt(5);
    if (args.ok() && (memory.size() != FaultCounters::SizeFor(rules.size()) || rules.empty() ||
                      reinterpret_cast<uintptr_t>(memory.data()) % alignof(FaultCounters) != 0))
      args.Fail(3, "the counters of as many rules");
    if (!args.ok()) return info.Env().Undefined();
    if (plan_ != nullptr) return {info.Env(), ToJavaScript(info.Env(), Result::Error(kInvalidArgument))};
    is_joined_ = is_joined;
    memory_ = Napi::Persistent(info[3].As<Napi::Object>());
    counters_ = reinterpret_cast<FaultCounters*>(memory.data());
    plan_ = std::make_shared<FaultPlan>(std::move(rules), seed, counters_);
    plans_ = of_process ? &FaultPlans::OfProcess() : &recorder_->faults();
    plans_->Add(plan_);
    return {info.Env(), ToJavaScript(info.Env(), Result::Ok(0))};
  }

  void Stop(const Napi::CallbackInfo&) { End(); }

  void End() {
    if (plans_ == nullptr) return;
    if (!is_joined_) counters_->stopped.store(1);
    plans_->Remove(plan_);
    plans_ = nullptr;
    memory_.Reset();
  }

  std::shared_ptr<Recorder> recorder_;
  std::shared_ptr<FaultPlan> plan_;  // null: it was never started
  FaultPlans* plans_ = nullptr;      // those that it is one of
  FaultCounters* counters_ = nullptr;
  Napi::ObjectReference memory_;  // as long as somebody counts there
  bool is_joined_ = false;
};

// The plan that this process was started with.
struct PlanOfProcess {
  std::mutex mutex;
  std::vector<uint64_t> memory;  // empty: there is none
  FaultCounters* counters() { return reinterpret_cast<FaultCounters*>(memory.data()); }

  static PlanOfProcess& Get() {
    // Never destroyed: a worker may end after the main thread has begun to.
    static auto* const plan = new PlanOfProcess;
    return *plan;
  }
};

// startProcessFaults(names, numbers, seed): until the process ends. 0, or 1: that has happened before, by whichever
// thread.
napi_value StartFaultsOfProcess(napi_env env, napi_callback_info info) {
  Args args(env, info);
  uint64_t seed = 0;
  std::vector<FaultRule> rules = RulesAt(args, 0, &seed);
  if (!args.ok()) return nullptr;
  PlanOfProcess& own = PlanOfProcess::Get();
  const std::lock_guard lock(own.mutex);
  if (!own.memory.empty()) return ToJavaScript(env, Result::Ok(1));
  own.memory.assign(FaultCounters::SizeFor(rules.size()) / sizeof(uint64_t), 0);
  FaultPlans::OfProcess().Add(std::make_shared<FaultPlan>(std::move(rules), seed, own.counters()));
  return ToJavaScript(env, Result::Ok(0));
}

// processFaultCounts(out): calls and injected faults of each of its rules, as many as fit into the Float64Array. How
// many numbers that were.
napi_value FaultCountsOfProcess(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<double> out = args.DoublesAt(0);
  if (!args.ok()) return nullptr;
  PlanOfProcess& own = PlanOfProcess::Get();
  const std::lock_guard lock(own.mutex);
  size_t count = 0;
  const size_t rules = own.memory.empty() ? 0 : (own.memory.size() - 1) / 2;
  for (size_t i = 0; i < rules && count + 2 <= out.size(); ++i) {
    const FaultCounters::RuleCounters& counters = own.counters()->rules[i];
    out[count++] = static_cast<double>(counters.calls.load());
    out[count++] = static_cast<double>(counters.injected.load());
  }
  return ToJavaScript(env, Result::Ok(static_cast<int64_t>(count)));
}

}  // namespace

void RegisterFaultPlan(Napi::Env env, Napi::Object exports) {
  exports.Set("FaultPlan", FaultPlanObject::Define(env));
  Export(env, exports, "startProcessFaults", StartFaultsOfProcess);
  Export(env, exports, "processFaultCounts", FaultCountsOfProcess);
}

}  // namespace selectors
