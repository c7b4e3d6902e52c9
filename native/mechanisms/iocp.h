// The class Iocp: a completion port as JavaScript sees it. Its methods stand in three files:
//
//   iocp.cc          opening, packets, cancelling, closing
//   iocp_sockets.cc  one method per operation on a socket: AcceptEx, WSARecv, …
//   iocp_files.cc    the operations on files
//
// iocp_port.h has the port itself, and the rule for the lifetime of an operation.
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

// A row of getQueuedCompletionStatusEx: [key, value, id, error, flags]. value: number of bytes, or the descriptor of
// the accepted connection. error: 0 or negative.
constexpr size_t kRowLength = 5;
constexpr double kMaxCloseTimeout = 5000;  // milliseconds

inline HANDLE HandleOf(Fd fd) { return reinterpret_cast<HANDLE>(fd); }

// Sets the operation's address to that of the accepted peer. AcceptEx has stored it, so it works after a disconnect,
// too.
void StoreAcceptedPeer(Operation& operation);

class Iocp : public Napi::ObjectWrap<Iocp> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit Iocp(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Iocp>(info) {}
  ~Iocp() override { CloseAll(kMaxCloseTimeout); }

 private:
  using Kind = Operation::Kind;

  Napi::Value ToValue(Result result) { return {Env(), ToJavaScript(Env(), result)}; }

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
  // Closes the port and the files. Returns the number of operations that have not completed.
  size_t CloseAll(double timeout);
  static void OnEnvironmentExit(void* self);
  static void WriteRow(std::span<double> out, size_t row, const std::array<double, kRowLength>& numbers);
  void WritePacket(Packet& packet, std::span<double> out, size_t row);
  // The operation of a row of the last wait; null if it has none. Valid until the next wait.
  const Operation* OperationOfRow(Args& args, size_t index) const;

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
  Result OpenForOperation(Operation& operation, size_t fd);

  // For both.
  // A whole number from 0 to 2^53 - 1.
  static int64_t IdAt(Args& args, size_t index);
  static std::unique_ptr<Operation> NewOperation(Kind kind, Args& args);
  // The operation's own memory: uninitialized, or with a copy of the bytes to send.
  static Result Allocate(Operation& operation, size_t size);
  static Result CopyBytes(Operation& operation, std::span<const uint8_t> bytes);
  template <typename StartCall>
  Napi::Value Start(std::unique_ptr<Operation> operation, Result prepared, StartCall start) {
    return ToValue(prepared.ok() ? port_->Start(std::move(operation), start) : prepared);
  }

  const std::shared_ptr<Port> port_ = std::make_shared<Port>();
  uint32_t wake_handle_ = 0;
  bool was_closed_ = false;
  std::vector<std::unique_ptr<Operation>> row_operations_;  // of the last wait
  std::unordered_map<HANDLE, UniqueHandle> files_;
};

}  // namespace selectors
