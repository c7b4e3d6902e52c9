// The class Iocp: a completion port as JavaScript has it. iocp.cc has the port's life and its packets, iocp_sockets.cc
// and iocp_files.cc start the operations; iocp_port.h has the rule by which an operation lives.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/args.h"
#include "mechanisms/iocp_port.h"

namespace selectors {

// A row of getQueuedCompletionStatusEx: [key, value, id, error, flags]. value: how many bytes, or the descriptor of the
// connection that was accepted. error: 0 or negative.
constexpr size_t kRowLength = 5;
constexpr double kLongestClose = 5000;  // milliseconds

inline HANDLE HandleOf(Fd fd) { return reinterpret_cast<HANDLE>(fd); }

// Who was accepted, also where that client has gone since: AcceptEx has kept it.
void FindPeer(Operation& operation);

class Iocp : public Napi::ObjectWrap<Iocp> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit Iocp(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Iocp>(info) {}
  ~Iocp() override { End(kLongestClose); }

 private:
  using Kind = Operation::Kind;

  Napi::Value Answer(Result result) { return {Env(), ToJavaScript(Env(), result)}; }

  // iocp.cc
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value WakeHandle(const Napi::CallbackInfo& info);
  Napi::Value Associate(const Napi::CallbackInfo& info);
  Napi::Value IsAssociated(const Napi::CallbackInfo& info);
  Napi::Value Post(const Napi::CallbackInfo& info);
  Napi::Value Cancel(const Napi::CallbackInfo& info);
  Napi::Value CancelAllOf(const Napi::CallbackInfo& info);
  Napi::Value Wait(const Napi::CallbackInfo& info);
  Napi::Value Received(const Napi::CallbackInfo& info);
  Napi::Value Sender(const Napi::CallbackInfo& info);
  Napi::Value FetchCancelled(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  size_t End(double timeout);
  static void EndWithEnvironment(void* self);
  static void Write(std::span<double> out, size_t row, const std::array<double, kRowLength>& numbers);
  void Tell(Packet& packet, std::span<double> out, size_t row);
  const Operation* TakenAt(Args& args, size_t index) const;

  // iocp_sockets.cc
  Napi::Value AcceptEx(const Napi::CallbackInfo& info);
  Napi::Value ConnectEx(const Napi::CallbackInfo& info);
  Napi::Value WsaRecv(const Napi::CallbackInfo& info);
  Napi::Value WsaRecvFrom(const Napi::CallbackInfo& info);
  Napi::Value Receive(const Napi::CallbackInfo& info, Kind kind);
  Napi::Value WsaSend(const Napi::CallbackInfo& info);
  Napi::Value WsaSendTo(const Napi::CallbackInfo& info);

  // iocp_files.cc
  Napi::Value OpenFile(const Napi::CallbackInfo& info);
  Napi::Value CloseFile(const Napi::CallbackInfo& info);
  Napi::Value ReadFromFile(const Napi::CallbackInfo& info);
  Napi::Value WriteToFile(const Napi::CallbackInfo& info);
  Napi::Value ReadDescriptor(const Napi::CallbackInfo& info);
  Napi::Value WriteDescriptor(const Napi::CallbackInfo& info);
  Result OpenFor(Operation& operation, size_t fd);

  // Of both.
  // Whole, and such that JavaScript's numbers say it exactly.
  static int64_t IdAt(Args& args, size_t index);
  static std::unique_ptr<Operation> OperationOf(Kind kind, Args& args);
  // The operation's own memory: empty, or with a copy of what is sent.
  static Result Furnish(Operation& operation, size_t size);
  static Result Furnish(Operation& operation, std::span<const uint8_t> bytes);
  template <typename StartCall>
  Napi::Value Start(std::unique_ptr<Operation> operation, Result furnished, StartCall start) {
    return Answer(furnished.ok() ? port_->Start(std::move(operation), start) : furnished);
  }

  const std::shared_ptr<Port> port_ = std::make_shared<Port>();
  uint32_t handle_ = 0;
  bool ended_ = false;
  std::vector<std::unique_ptr<Operation>> taken_;
  std::unordered_map<HANDLE, UniqueHandle> files_;
};

}  // namespace selectors
