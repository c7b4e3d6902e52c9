#include "core/wakeable.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

namespace selectors {
namespace {

// One table for the process: environments share no JavaScript objects, but any thread must be able to wake any other.
struct Registry {
  std::mutex mutex;
  uint32_t last = 0;
  std::unordered_map<uint32_t, std::shared_ptr<Wakeable>> wakeables;

  static Registry& OfProcess() {
    // Never destroyed: a worker may still run while the main thread exits.
    static auto* const registry = new Registry;
    return *registry;
  }
};

}  // namespace

uint32_t RegisterWakeable(std::shared_ptr<Wakeable> wakeable) {
  Registry& registry = Registry::OfProcess();
  const std::lock_guard lock(registry.mutex);
  registry.wakeables.emplace(++registry.last, std::move(wakeable));
  return registry.last;
}

void UnregisterWakeable(uint32_t handle) {
  Registry& registry = Registry::OfProcess();
  std::shared_ptr<Wakeable> removed;  // declared before the lock: destroyed after it is released
  const std::lock_guard lock(registry.mutex);
  const auto found = registry.wakeables.find(handle);
  if (found == registry.wakeables.end()) return;
  removed = std::move(found->second);
  registry.wakeables.erase(found);
}

size_t SignalWakeables(const std::vector<uint32_t>& handles) {
  std::vector<std::shared_ptr<Wakeable>> found;
  {
    Registry& registry = Registry::OfProcess();
    const std::lock_guard lock(registry.mutex);
    for (const auto& [handle, wakeable] : registry.wakeables) {
      if (handles.empty() || std::find(handles.begin(), handles.end(), handle) != handles.end()) {
        found.push_back(wakeable);
      }
    }
  }
  for (const auto& wakeable : found) wakeable->Signal().Ignore("the caller repeats it");
  return static_cast<size_t>(
      std::count_if(found.begin(), found.end(), [](const auto& wakeable) { return wakeable->IsOfThread(); }));
}

std::shared_ptr<Wakeable> FindWakeable(uint32_t handle, bool* was_registered) {
  Registry& registry = Registry::OfProcess();
  const std::lock_guard lock(registry.mutex);
  *was_registered = handle > 0 && handle <= registry.last;
  const auto found = registry.wakeables.find(handle);
  return found == registry.wakeables.end() ? nullptr : found->second;
}

}  // namespace selectors
