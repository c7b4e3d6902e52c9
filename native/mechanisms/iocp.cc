// I/O completion ports, Windows' proactor interface: the program starts an overlapped operation, the kernel carries it
// out and queues a completion packet, and GetQueuedCompletionStatusEx returns the packets. A method of the class Iocp
// is named after its system call.
//
// The caller identifies an operation by an id: a number greater than 0 that no pending operation has. The operation has
// its own memory: bytes to send are copied when it starts; received bytes must be copied with received() before the
// next wait. A method that starts an operation returns 0 (a packet follows) or a negative error (no packet follows).
//
// Limits: a handle stays associated with its port until it is closed. Cancelling an operation does not free it: its
// packet follows in any case (iocp_port.h).
#include "mechanisms/iocp.h"

#include <algorithm>
#include <cstring>

#include "core/args.h"
#include "core/wakeable.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

// In place of an id: a posted packet; a wakeup(); an operation that this port has not started.
enum : int { kPosted = 0, kWoken = -1, kUnexpected = -2 };
enum : int { kReceived = 1, kHasSender = 2, kCancelled = 4 };
constexpr int64_t kMaxId = (int64_t{1} << 53) - 1;

int FlagsOf(const Operation& operation) {
  return (operation.Receives() ? kReceived : 0) | (operation.kind == Operation::Kind::kReceiveFrom ? kHasSender : 0) |
         (operation.cancelled ? kCancelled : 0);
}

}  // namespace

Napi::Function Iocp::Define(Napi::Env env) {
  return DefineClass(env, "Iocp",
                     {InstanceMethod<&Iocp::Open>("open"),
                      InstanceMethod<&Iocp::WakeHandle>("wakeHandle"),
                      InstanceMethod<&Iocp::Associate>("associate"),
                      InstanceMethod<&Iocp::IsAssociated>("isAssociated"),
                      InstanceMethod<&Iocp::Post>("postQueuedCompletionStatus"),
                      InstanceMethod<&Iocp::AcceptEx>("acceptEx"),
                      InstanceMethod<&Iocp::ConnectEx>("connectEx"),
                      InstanceMethod<&Iocp::WsaRecv>("wsaRecv"),
                      InstanceMethod<&Iocp::WsaRecvFrom>("wsaRecvFrom"),
                      InstanceMethod<&Iocp::WsaSend>("wsaSend"),
                      InstanceMethod<&Iocp::WsaSendTo>("wsaSendTo"),
                      InstanceMethod<&Iocp::OpenFile>("openFile"),
                      InstanceMethod<&Iocp::CloseFile>("closeFile"),
                      InstanceMethod<&Iocp::ReadFromFile>("readFile"),
                      InstanceMethod<&Iocp::WriteToFile>("writeFile"),
                      InstanceMethod<&Iocp::ReadDescriptor>("readDescriptor"),
                      InstanceMethod<&Iocp::WriteDescriptor>("writeDescriptor"),
                      InstanceMethod<&Iocp::Cancel>("cancel"),
                      InstanceMethod<&Iocp::CancelAllOf>("cancelAllOf"),
                      InstanceMethod<&Iocp::Wait>("getQueuedCompletionStatusEx"),
                      InstanceMethod<&Iocp::Received>("received"),
                      InstanceMethod<&Iocp::Sender>("sender"),
                      InstanceMethod<&Iocp::FetchCancelled>("fetchCancelled"),
                      InstanceMethod<&Iocp::Close>("close")});
}

// ------------------------------------------------------------------------------------------------------- the port

// open(concurrency, reusable): returns 0 or a negative error. concurrency: threads that the kernel lets run at once; 0:
// the number of processors. reusable: after close(), another port may take this one over with its sockets
// (platform/win_ports.h).
Napi::Value Iocp::Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t concurrency = args.SizeAt(0, UINT32_MAX);
  const bool reusable = args.BooleanAt(1);
  if (!args.ok()) return info.Env().Undefined();
  if (port_->IsOpen() || was_closed_) return ToValue(Result::Ok(0));
  const Result opened = port_->Open(static_cast<DWORD>(concurrency), reusable);
  if (opened.ok()) napi_add_env_cleanup_hook(Env(), OnEnvironmentExit, this);
  return ToValue(opened);
}

// wakeHandle(): the handle for wakeup() and Waiter.start; 0 if the port is closed. Created by the first call.
Napi::Value Iocp::WakeHandle(const Napi::CallbackInfo& info) {
  if (wake_handle_ == 0 && port_->IsOpen()) wake_handle_ = RegisterWakeable(port_);
  return Napi::Number::New(info.Env(), wake_handle_);
}

// associate(handle, key): CreateIoCompletionPort. Returns 0 or a negative error.
Napi::Value Iocp::Associate(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd handle = args.FdAt(0);
  const int64_t key = IdAt(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return ToValue(port_->Associate(HandleOf(handle), static_cast<ULONG_PTR>(key)));
}

// isAssociated(handle): true if the handle is associated with this port.
Napi::Value Iocp::IsAssociated(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd handle = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), port_->Has(HandleOf(handle)));
}

// postQueuedCompletionStatus(key, bytes): queues a packet without an operation. Returns 0 or a negative error.
Napi::Value Iocp::Post(const Napi::CallbackInfo& info) {
  Args args(info);
  const int64_t key = IdAt(args, 0);
  const size_t bytes = args.SizeAt(1, UINT32_MAX);
  if (!args.ok()) return info.Env().Undefined();
  return ToValue(port_->Post(static_cast<ULONG_PTR>(key), static_cast<DWORD>(bytes)));
}

// close(timeout): cancels all operations and waits at most `timeout` milliseconds for their packets. Returns the number
// of operations whose packets have not arrived; their memory is never freed.
Napi::Value Iocp::Close(const Napi::CallbackInfo& info) {
  Args args(info);
  const double timeout = args.TimeoutAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>(CloseAll(std::clamp(timeout, 0.0, kMaxCloseTimeout))));
}

size_t Iocp::CloseAll(double timeout) {
  if (!port_->IsOpen()) return 0;
  was_closed_ = true;
  napi_remove_env_cleanup_hook(Env(), OnEnvironmentExit, this);
  if (wake_handle_ != 0) UnregisterWakeable(wake_handle_);
  row_operations_.clear();
  const size_t left = port_->Close(timeout);
  files_.clear();
  return left;
}

void Iocp::OnEnvironmentExit(void* self) { static_cast<Iocp*>(self)->CloseAll(kMaxCloseTimeout); }

// cancel(id): CancelIoEx of one operation, whose packet follows all the same. Returns 0 or a negative error:
// ERROR_NOT_FOUND if no pending operation has this id.
Napi::Value Iocp::Cancel(const Napi::CallbackInfo& info) {
  Args args(info);
  const int64_t id = IdAt(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  return ToValue(port_->Cancel(id));
}

// cancelAllOf(handle): CancelIoEx of all operations that this process has started on the handle.
Napi::Value Iocp::CancelAllOf(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd handle = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return ToValue(port_->CancelAllOf(HandleOf(handle)));
}

// ------------------------------------------------------------------------------------------------------- operations

int64_t Iocp::IdAt(Args& args, size_t index) {
  const double value = args.NumberAt(index);
  if (!(value >= 0 && value <= static_cast<double>(kMaxId)) ||
      value != static_cast<double>(static_cast<int64_t>(value))) {
    args.Fail(index, "a whole number, 0 or more");
    return 0;
  }
  return static_cast<int64_t>(value);
}

std::unique_ptr<Operation> Iocp::NewOperation(Kind kind, Args& args) {
  auto operation = std::make_unique<Operation>();
  operation->kind = kind;
  operation->id = IdAt(args, 0);
  operation->handle = HandleOf(args.FdAt(1));
  if (operation->id == 0) args.Fail(0, "an id greater than 0");
  return operation;
}

Result Iocp::Allocate(Operation& operation, size_t size) {
  return operation.Allocate(size) ? Result::Ok(0) : Result::Error(kNoMemory);
}

Result Iocp::CopyBytes(Operation& operation, std::span<const uint8_t> bytes) {
  const Result allocated = Allocate(operation, bytes.size());
  if (allocated.ok() && !bytes.empty()) std::memcpy(operation.bytes.get(), bytes.data(), bytes.size());
  return allocated;
}

// ---------------------------------------------------------------------------------------------------------- packets

// getQueuedCompletionStatusEx(out, maxRows, timeout): waits, and writes at most `maxRows` rows into `out`. Returns
// their number, or a negative error.
Napi::Value Iocp::Wait(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::span<double> out = args.DoublesAt(0);
  const size_t max_rows = args.SizeAt(1, out.size() / kRowLength);
  const double timeout = args.TimeoutAt(2);
  if (!args.ok()) return info.Env().Undefined();
  row_operations_.clear();
  const Result fetched = port_->Fetch(timeout);
  if (!fetched.ok()) return ToValue(fetched);
  size_t count = 0;
  if (max_rows > 0 && port_->TakeWoken()) WriteRow(out, count++, {0, 0, kWoken, 0, 0});
  for (Packet packet; count < max_rows && port_->TakePacket(&packet); ++count) WritePacket(packet, out, count);
  return ToValue(Result::Ok(static_cast<int64_t>(count)));
}

void Iocp::WriteRow(std::span<double> out, size_t row, const std::array<double, kRowLength>& numbers) {
  std::copy(numbers.begin(), numbers.end(), out.begin() + static_cast<std::ptrdiff_t>(row * kRowLength));
}

void Iocp::WritePacket(Packet& packet, std::span<double> out, size_t row) {
  const auto key = static_cast<double>(packet.key);
  row_operations_.resize(row + 1);
  if (packet.operation == nullptr) {
    const int id = packet.is_unexpected ? kUnexpected : kPosted;
    return WriteRow(out, row, {key, static_cast<double>(packet.bytes), static_cast<double>(id), 0, 0});
  }
  Operation& operation = *packet.operation;
  operation.size = std::min<size_t>(operation.size, packet.bytes);
  // For a receive, never more than the size of its memory.
  double value = operation.Receives() ? static_cast<double>(operation.size) : packet.bytes;
  if (packet.error == 0 && operation.accepted.get() != kNoFd) {
    StoreAcceptedPeer(operation);
    const Fd connection = operation.accepted.Release();
    UnclaimedFds::Add(Env(), connection);
    value = static_cast<double>(connection);
  }
  operation.file.Close().Ignore("the bytes are written already");
  WriteRow(out, row,
           {key, value, static_cast<double>(operation.id), static_cast<double>(-packet.error),
            static_cast<double>(FlagsOf(operation))});
  row_operations_[row] = std::move(packet.operation);
}

const Operation* Iocp::OperationOfRow(Args& args, size_t index) const {
  const size_t row = args.SizeAt(index, UINT32_MAX);
  return row < row_operations_.size() ? row_operations_[row].get() : nullptr;
}

// received(row, target): copies the received bytes of a row to the start of `target`. Returns their number.
Napi::Value Iocp::Received(const Napi::CallbackInfo& info) {
  Args args(info);
  const Operation* const operation = OperationOfRow(args, 0);
  const std::span<uint8_t> target = args.BytesAt(1);
  if (!args.ok()) return info.Env().Undefined();
  const size_t size = operation != nullptr && operation->Receives() ? std::min(target.size(), operation->size) : 0;
  if (size > 0) std::memcpy(target.data(), operation->bytes.get(), size);
  return ToValue(Result::Ok(static_cast<int64_t>(size)));
}

// sender(row, target): copies the sockaddr of the datagram's sender or of the accepted peer. Returns its length.
Napi::Value Iocp::Sender(const Napi::CallbackInfo& info) {
  Args args(info);
  const Operation* const operation = OperationOfRow(args, 0);
  const std::span<uint8_t> target = args.BytesAt(1);
  if (!args.ok()) return info.Env().Undefined();
  size_t size = 0;
  if (operation != nullptr && (operation->kind == Kind::kReceiveFrom || operation->kind == Kind::kAccept)) {
    const auto length = static_cast<size_t>(std::max(operation->address_length, 0));
    size = std::min({target.size(), length, sizeof operation->address});
    if (size > 0) std::memcpy(target.data(), &operation->address, size);
  }
  return ToValue(Result::Ok(static_cast<int64_t>(size)));
}

// fetchCancelled(timeout): waits at most `timeout` milliseconds until the packets of all cancelled operations have
// arrived. The next wait returns them.
Napi::Value Iocp::FetchCancelled(const Napi::CallbackInfo& info) {
  Args args(info);
  const double timeout = args.TimeoutAt(0);
  if (args.ok()) port_->FetchCancelled(std::clamp(timeout, 0.0, kMaxCloseTimeout));
  return info.Env().Undefined();
}

void RegisterIocp(Napi::Env env, Napi::Object exports) {
  exports.Set("Iocp", Iocp::Define(env));
  const auto constant = [&](const char* name, double value) { exports.Set(name, Napi::Number::New(env, value)); };
  constant("IOCP_ROW", kRowLength);
  constant("IOCP_POSTED", kPosted);
  constant("IOCP_WOKEN", kWoken);
  constant("IOCP_UNEXPECTED", kUnexpected);
  constant("IOCP_RECEIVED", kReceived);
  constant("IOCP_HAS_SENDER", kHasSender);
  constant("IOCP_CANCELLED", kCancelled);
}

}  // namespace selectors
