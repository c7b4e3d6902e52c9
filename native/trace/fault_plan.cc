// FaultPlan: a fault plan (core/faults.h) of JavaScript's. src/faults/ parses and validates the user's text; only names
// and numbers arrive here, and are checked again, for memory safety.
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

// The numbers of a rule: its Fault::Kind, the fault's value, then first, last, every and probability (FaultRule).
constexpr size_t kNumbersPerRule = 6;
constexpr size_t kMaxRules = 1000;
constexpr size_t kMaxNamesLength = 65536;        // bytes
constexpr double kMaxNumber = 9007199254740991;  // Number.MAX_SAFE_INTEGER

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
  }
  return parts;
}

bool IsInteger(double value, double min, double max) {
  return value >= min && value <= max && value == std::floor(value);
}

bool IsValid(const Fault& fault) {
  switch (fault.kind) {
    case Fault::Kind::kError:
      return IsInteger(fault.value, 1, INT32_MAX);
    case Fault::Kind::kShort:
      return IsInteger(fault.value, 1, kMaxNumber);
    case Fault::Kind::kSlow:
      return fault.value > 0 && fault.value <= INT32_MAX;
    case Fault::Kind::kNone:
      return false;
  }
  return false;
}

// Null: the numbers are invalid.
std::optional<FaultRule> RuleOf(const std::string& names, const double* numbers) {
  if (!IsInteger(numbers[0], 1, static_cast<double>(Fault::Kind::kSlow))) return std::nullopt;
  FaultRule rule;
  rule.names = Split(names, ',');
  rule.fault = {static_cast<Fault::Kind>(static_cast<int>(numbers[0])), numbers[1]};
  rule.first = numbers[2];
  rule.last = numbers[3];
  rule.every = numbers[4];
  rule.probability = numbers[5];
  const bool is_range =
      IsInteger(rule.first, 1, kMaxNumber) && (rule.last == INFINITY || IsInteger(rule.last, rule.first, kMaxNumber));
  const bool is_share = IsInteger(rule.every, 1, kMaxNumber) && rule.probability > 0 && rule.probability <= 1;
  return IsValid(rule.fault) && is_range && is_share ? std::optional(rule) : std::nullopt;
}

// Reads the arguments names, numbers and seed, of which `index` is the first. After an error the result is empty, and
// args.ok() is false.
std::vector<FaultRule> RulesAt(Args& args, size_t index, uint64_t* seed) {
  const std::string names = args.StringAt(index);
  const std::span<const double> numbers = args.DoublesAt(index + 1);
  *seed = args.SizeAt(index + 2, UINT32_MAX);
  if (!args.ok()) return {};
  const size_t count = numbers.size() / kNumbersPerRule;
  const std::vector<std::string> names_of_rules = Split(names.substr(0, kMaxNamesLength), '\n');
  if (names.size() > kMaxNamesLength || count > kMaxRules || numbers.size() != count * kNumbersPerRule ||
      names_of_rules.size() != count) {
    args.Fail(index, "one line of names per rule, and six numbers per rule");
    return {};
  }
  // Copied before they are checked: another thread may write to the Float64Array.
  const std::vector<double> copied(numbers.begin(), numbers.end());
  std::vector<FaultRule> rules;
  for (size_t i = 0; i < count; ++i) {
    std::optional<FaultRule> rule = RuleOf(names_of_rules[i], &copied[i * kNumbersPerRule]);
    if (!rule.has_value()) {
      args.Fail(index + 1, "six numbers per rule, in range");
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
  // counters: FaultCounters for that many rules, in a SharedArrayBuffer. isJoined: another thread has started the plan;
  // stopping this object does not stop it there.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    Args args(info);
    uint64_t seed = 0;
    std::vector<FaultRule> rules = RulesAt(args, 0, &seed);
    const std::span<uint8_t> memory = args.SharedBytesAt(3);
    const bool of_process = args.BooleanAt(4);
    const bool is_joined = args.BooleanAt(5);
    if (args.ok() && (memory.size() != FaultCounters::SizeFor(rules.size()) || rules.empty() ||
                      reinterpret_cast<uintptr_t>(memory.data()) % alignof(FaultCounters) != 0))
      args.Fail(3, "the counters of that many rules");
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
  std::shared_ptr<FaultPlan> plan_;  // null: never started
  FaultPlans* plans_ = nullptr;      // the list that plan_ is in; null: stopped
  FaultCounters* counters_ = nullptr;
  Napi::ObjectReference memory_;  // of counters_, while plan_ counts there
  bool is_joined_ = false;
};

// The plan that applies until the process ends (SELECTORS_NATIVE_FAULTS).
struct ProcessFaultPlan {
  std::mutex mutex;
  std::vector<uint64_t> memory;  // of the counters; empty: there is no plan
  FaultCounters* counters() { return reinterpret_cast<FaultCounters*>(memory.data()); }

  static ProcessFaultPlan& Get() {
    // Never destroyed: a worker may still run while the main thread exits.
    static auto* const plan = new ProcessFaultPlan;
    return *plan;
  }
};

// startProcessFaults(names, numbers, seed): starts a plan that applies until the process ends. 0; 1: some thread has
// started one already.
napi_value StartProcessFaults(napi_env env, napi_callback_info info) {
  Args args(env, info);
  uint64_t seed = 0;
  std::vector<FaultRule> rules = RulesAt(args, 0, &seed);
  if (!args.ok()) return nullptr;
  ProcessFaultPlan& plan = ProcessFaultPlan::Get();
  const std::lock_guard lock(plan.mutex);
  if (!plan.memory.empty()) return ToJavaScript(env, Result::Ok(1));
  plan.memory.assign(FaultCounters::SizeFor(rules.size()) / sizeof(uint64_t), 0);
  FaultPlans::OfProcess().Add(std::make_shared<FaultPlan>(std::move(rules), seed, plan.counters()));
  return ToJavaScript(env, Result::Ok(0));
}

// processFaultCounts(out): writes the calls and the injected faults of each rule of that plan to the Float64Array, as
// many as fit, and returns how many numbers it wrote.
napi_value ProcessFaultCounts(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<double> out = args.DoublesAt(0);
  if (!args.ok()) return nullptr;
  ProcessFaultPlan& plan = ProcessFaultPlan::Get();
  const std::lock_guard lock(plan.mutex);
  size_t count = 0;
  const size_t rules = plan.memory.empty() ? 0 : (plan.memory.size() - 1) / 2;
  for (size_t i = 0; i < rules && count + 2 <= out.size(); ++i) {
    const FaultCounters::RuleCounters& counters = plan.counters()->rules[i];
    out[count++] = static_cast<double>(counters.calls.load());
    out[count++] = static_cast<double>(counters.injected.load());
  }
  return ToJavaScript(env, Result::Ok(static_cast<int64_t>(count)));
}

}  // namespace

void RegisterFaultPlan(Napi::Env env, Napi::Object exports) {
  exports.Set("FaultPlan", FaultPlanObject::Define(env));
  Export(env, exports, "startProcessFaults", StartProcessFaults);
  Export(env, exports, "processFaultCounts", ProcessFaultCounts);
}

}  // namespace selectors
