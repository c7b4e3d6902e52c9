// I/O completion ports, Windows: the kernel carries an operation out, and queues a packet when it is done. The class
// Iocp is a port and its operations (iocp_port.h has the rule by which they live); each method is the system call of
// its name.
//
// An operation is named by an id, a number of the caller's, more than 0 and not under way. It works in memory of its
// own: bytes to be sent are copied when it starts, and received ones are asked for (received()) in the same turn in
// which its packet is told. Each method that starts one answers 0, a packet will come, or a negative error, none will.
#include "mechanisms/iocp.h"

#include <algorithm>
#include <cstring>

#include "core/args.h"
#include "core/wakeable.h"
#include "mechanisms/mechanisms.h"

namespace selectors {
namespace {

// In the place of an id: a packet that was posted; somebody has called wakeup(); an operation that is not ours.
enum : int { kPosted = 0, kWoken = -1, kUnexpected = -2 };
enum : int { kReceived = 1, kHasSender = 2, kCancelled = 4 };
constexpr int64_t kHighestId = (int64_t{1} << 53) - 1;

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

// open(concurrency, reusable): 0 or a negative error. concurrency 0: as many threads as there are processors.
// reusable: the sockets of one that was closed may be used with the next one (platform/win_ports.h).
Napi::Value Iocp::Open(const Napi::CallbackInfo& info) {
  Args args(info);
  const size_t concurrency = args.SizeAt(0, UINT32_MAX);
  const bool reusable = args.BooleanAt(1);
  if (!args.ok()) return info.Env().Undefined();
  if (port_->IsOpen() || ended_) return Answer(Result::Ok(0));
  const Result opened = port_->Open(static_cast<DWORD>(concurrency), reusable);
  if (opened.ok()) napi_add_env_cleanup_hook(Env(), EndWithEnvironment, this);
  return Answer(opened);
}

// wakeHandle(): what wakeup() and Waiter.start take; 0 where the port is closed. Given out when it is first asked
// for: nobody wakes a port of which nobody knows.
Napi::Value Iocp::WakeHandle(const Napi::CallbackInfo& info) {
  if (handle_ == 0 && port_->IsOpen()) handle_ = RegisterWakeable(port_);
  return Napi::Number::New(info.Env(), handle_);
}

// associate(handle, key): CreateIoCompletionPort.
Napi::Value Iocp::Associate(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd handle = args.FdAt(0);
  const int64_t key = IdAt(args, 1);
  if (!args.ok()) return info.Env().Undefined();
  return Answer(port_->Associate(HandleOf(handle), static_cast<ULONG_PTR>(key)));
}

// isAssociated(handle): with this port.
Napi::Value Iocp::IsAssociated(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd handle = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), port_->Has(HandleOf(handle)));
}

// postQueuedCompletionStatus(key, bytes)
Napi::Value Iocp::Post(const Napi::CallbackInfo& info) {
  Args args(info);
  const int64_t key = IdAt(args, 0);
  const size_t bytes = args.SizeAt(1, UINT32_MAX);
  if (!args.ok()) return info.Env().Undefined();
  return Answer(port_->Post(static_cast<ULONG_PTR>(key), static_cast<DWORD>(bytes)));
}

// close(milliseconds): waits that long for what it cancels. How many operations are lost: memory that is never freed.
Napi::Value Iocp::Close(const Napi::CallbackInfo& info) {
  Args args(info);
  const double timeout = args.TimeoutAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>(End(std::clamp(timeout, 0.0, kLongestClose))));
}

size_t Iocp::End(double timeout) {
  if (!port_->IsOpen()) return 0;
  ended_ = true;
  napi_remove_env_cleanup_hook(Env(), EndWithEnvironment, this);
  if (handle_ != 0) UnregisterWakeable(handle_);
  taken_.clear();
  const size_t left = port_->Close(timeout);
  files_.clear();
  return left;
}

void Iocp::EndWithEnvironment(void* self) { static_cast<Iocp*>(self)->End(kLongestClose); }

// cancel(id): CancelIoEx of one operation. Its packet comes all the same. -ERROR_NOT_FOUND: none is under way.
Napi::Value Iocp::Cancel(const Napi::CallbackInfo& info) {
  Args args(info);
  const int64_t id = IdAt(args, 0);
  if (!args.ok()) return info.Env().Undefined();
  return Answer(port_->Cancel(id));
}

// cancelAllOf(handle): CancelIoEx of all that this process has begun on it.
Napi::Value Iocp::CancelAllOf(const Napi::CallbackInfo& info) {
  Args args(info);
  const Fd handle = args.FdAt(0);
  if (!args.ok()) return info.Env().Undefined();
  return Answer(port_->CancelAllOf(HandleOf(handle)));
}

// --------------------------------------------------------------------------------------------------- the operations

int64_t Iocp::IdAt(Args& args, size_t index) {
  const double value = args.NumberAt(index);
  if (!(value >= 0 && value <= static_cast<double>(kHighestId)) ||
      value != static_cast<double>(static_cast<int64_t>(value))) {
    args.Fail(index, "a whole number, 0 or more");
    return 0;
  }
  return static_cast<int64_t>(value);
}

std::unique_ptr<Operation> Iocp::OperationOf(Kind kind, Args& args) {
  auto operation = std::make_unique<Operation>();
  operation->kind = kind;
  operation->id = IdAt(args, 0);
  operation->handle = HandleOf(args.FdAt(1));
  if (operation->id == 0) args.Fail(0, "an id, more than 0");
  return operation;
}

Result Iocp::Furnish(Operation& operation, size_t size) {
  return operation.Allocate(size) ? Result::Ok(0) : Result::Error(kNoMemory);
}
Result Iocp::Furnish(Operation& operation, std::span<const uint8_t> bytes) {
  const Result furnished = Furnish(operation, bytes.size());
  if (furnished.ok() && !bytes.empty()) std::memcpy(operation.bytes.get(), bytes.data(), bytes.size());
  return furnished;
}

// ---------------------------------------------------------------------------------------------------- the packets

// getQueuedCompletionStatusEx(out, most, timeout): how many rows it put into `out`, or a negative error.
Napi::Value Iocp::Wait(const Napi::CallbackInfo& info) {
  Args args(info);
  const std::span<double> out = args.DoublesAt(0);
  const size_t most = args.SizeAt(1, out.size() / kRowLength);
  const double timeout = args.TimeoutAt(2);
  if (!args.ok()) return info.Env().Undefined();
  taken_.clear();
  const Result fetched = port_->Fetch(timeout);
  if (!fetched.ok()) return Answer(fetched);
  size_t count = 0;
  if (most > 0 && port_->TakeWoken()) Write(out, count++, {0, 0, kWoken, 0, 0});
  for (Packet packet; count < most && port_->TakePacket(&packet); ++count) Tell(packet, out, count);
  return Answer(Result::Ok(static_cast<int64_t>(count)));
}

void Iocp::Write(std::span<double> out, size_t row, const std::array<double, kRowLength>& numbers) {
  std::copy(numbers.begin(), numbers.end(), out.begin() + static_cast<std::ptrdiff_t>(row * kRowLength));
}

void Iocp::Tell(Packet& packet, std::span<double> out, size_t row) {
  const auto key = static_cast<double>(packet.key);
  taken_.resize(row + 1);
  if (packet.operation == nullptr) {
    const int what = packet.is_unexpected ? kUnexpected : kPosted;
    return Write(out, row, {key, static_cast<double>(packet.bytes), static_cast<double>(what), 0, 0});
  }
  Operation& operation = *packet.operation;
  operation.size = std::min<size_t>(operation.size, packet.bytes);
  // Never more than its memory has, whatever the packet says.
  double value = operation.Receives() ? static_cast<double>(operation.size) : packet.bytes;
  if (packet.error == 0 && operation.accepted.get() != kNoFd) {
    FindPeer(operation);
    const Fd connection = operation.accepted.Release();
    UnclaimedFds::Add(Env(), connection);
    value = static_cast<double>(connection);
  }
  operation.file.Close().Ignore("what was to be written is written");
  Write(out, row,
        {key, value, static_cast<double>(operation.id), static_cast<double>(-packet.error),
         static_cast<double>(FlagsOf(operation))});
  taken_[row] = std::move(packet.operation);
}

// The operation of a row of the last wait, until the next one.
const Operation* Iocp::TakenAt(Args& args, size_t index) const {
  const size_t row = args.SizeAt(index, UINT32_MAX);
  return row < taken_.size() ? taken_[row].get() : nullptr;
}

// received(row, target): copies what was received to the beginning of the target: how many bytes.
Napi::Value Iocp::Received(const Napi::CallbackInfo& info) {
  Args args(info);
  const Operation* const operation = TakenAt(args, 0);
  const std::span<uint8_t> target = args.BytesAt(1);
  if (!args.ok()) return info.Env().Undefined();
  const size_t size = operation != nullptr && operation->Receives() ? std::min(target.size(), operation->size) : 0;
  if (size > 0) std::memcpy(target.data(), operation->bytes.get(), size);
  return Answer(Result::Ok(static_cast<int64_t>(size)));
}

// sender(row, target): the same, the sockaddr of the sender, or of who was accepted.
Napi::Value Iocp::Sender(const Napi::CallbackInfo& info) {
  Args args(info);
  const Operation* const operation = TakenAt(args, 0);
  const std::span<uint8_t> target = args.BytesAt(1);
  if (!args.ok()) return info.Env().Undefined();
  size_t size = 0;
  if (operation != nullptr && (operation->kind == Kind::kReceiveFrom || operation->kind == Kind::kAccept)) {
    const auto length = static_cast<size_t>(std::max(operation->address_length, 0));
    size = std::min({target.size(), length, sizeof operation->address});
    if (size > 0) std::memcpy(target.data(), &operation->address, size);
  }
  return Answer(Result::Ok(static_cast<int64_t>(size)));
}

// fetchCancelled(milliseconds): waits until what was cancelled is in; the next wait tells it.
Napi::Value Iocp::FetchCancelled(const Napi::CallbackInfo& info) {
  Args args(info);
  const double timeout = args.TimeoutAt(0);
  if (args.ok()) port_->FetchCancelled(std::clamp(timeout, 0.0, kLongestClose));
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
