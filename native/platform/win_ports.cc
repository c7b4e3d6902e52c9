#include "platform/win_ports.h"

#include "core/syscall.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace selectors {
namespace {

struct Retired {
  HANDLE port;
  DWORD concurrency;
};

struct PortTable {
  std::mutex mutex;
  std::unordered_map<HANDLE, HANDLE> port_of;
  std::unordered_map<HANDLE, size_t> handles_of;  // how many handles a port has
  std::vector<Retired> retired;

  static PortTable& OfProcess() {
    // Never destroyed: a worker may still run while the main thread exits.
    static auto* const table = new PortTable;
    return *table;
  }

  void Forget(HANDLE handle) {
    const auto found = port_of.find(handle);
    if (found == port_of.end()) return;
    const HANDLE port = found->second;
    port_of.erase(found);
    if (--handles_of[port] > 0) return;
    handles_of.erase(port);
    const auto old =
        std::find_if(retired.begin(), retired.end(), [port](const Retired& one) { return one.port == port; });
    if (old == retired.end()) return;
    retired.erase(old);
    Call<::CloseHandle>(port).Ignore("it was open, and nothing refers to it");
  }
};

}  // namespace

void RememberPort(HANDLE handle, HANDLE port) {
  PortTable& table = PortTable::OfProcess();
  const std::lock_guard lock(table.mutex);
  table.Forget(handle);
  table.port_of.emplace(handle, port);
  ++table.handles_of[port];
}

HANDLE PortOf(HANDLE handle) {
  PortTable& table = PortTable::OfProcess();
  const std::lock_guard lock(table.mutex);
  const auto found = table.port_of.find(handle);
  return found == table.port_of.end() ? nullptr : found->second;
}

void ForgetPortOf(HANDLE handle) {
  PortTable& table = PortTable::OfProcess();
  const std::lock_guard lock(table.mutex);
  table.Forget(handle);
}

Result ClosePort(HANDLE port) {
  PortTable& table = PortTable::OfProcess();
  const std::lock_guard lock(table.mutex);
  if (table.handles_of.erase(port) > 0)
    std::erase_if(table.port_of, [port](const auto& entry) { return entry.second == port; });
  return StatusOf(Call<::CloseHandle>(port));
}

void RetirePort(HANDLE port, DWORD concurrency) {
  PortTable& table = PortTable::OfProcess();
  const std::lock_guard lock(table.mutex);
  if (table.handles_of.contains(port)) {
    table.retired.push_back({port, concurrency});
  } else {
    Call<::CloseHandle>(port).Ignore("it was open, and nothing refers to it");
  }
}

HANDLE TakeRetiredPort(DWORD concurrency) {
  PortTable& table = PortTable::OfProcess();
  const std::lock_guard lock(table.mutex);
  const auto found = std::find_if(table.retired.rbegin(), table.retired.rend(),
                                  [concurrency](const Retired& one) { return one.concurrency == concurrency; });
  if (found == table.retired.rend()) return nullptr;
  const HANDLE port = found->port;
  table.retired.erase(std::next(found).base());
  return port;
}

}  // namespace selectors
