// I/O completion ports, Windows: the kernel carries an operation out, and queues a packet when it is done. The class
// Iocp is a port and its operations (iocp_port.h has the rule by which they live); each method is the system call of
// its name.
//
// An operation is named by an id, a number of the caller's, more than 0 and not under way. It works in memory of its
// own: bytes to be sent are copied when it starts, and received ones are asked for (received()) in the same turn in
// which its packet is told. Each method that starts one answers 0, a packet will come, or a negative error, none will.
#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/args.h"
#include "core/wakeable.h"
#include "mechanisms/iocp_calls.h"
#include "mechanisms/iocp_port.h"
#include "mechanisms/mechanisms.h"
#include "platform/win_ports.h"

// After winsock2.h.
#include <winternl.h>

namespace selectors {
namespace {

using Kind = Operation::Kind;

// A row of getQueuedCompletionStatusEx: [key, value, id, error, flags]. value: how many bytes, or the descriptor of the
// connection that was accepted. error: 0 or negative.
constexpr size_t kRowLength = 5;
// In the place of an id: a packet that was posted; somebody has called wakeup(); an operation that is not ours.
enum : int { kPosted = 0, kWoken = -1, kUnexpected = -2 };
enum : int { kReceived = 1, kHasSender = 2, kCancelled = 4 };
constexpr double kLongestClose = 5000;  // milliseconds
constexpr int64_t kHighestId = (int64_t{1} << 53) - 1;

HANDLE HandleOf(Fd fd) { return reinterpret_cast<HANDLE>(fd); }

// AcceptEx and ConnectEx are no functions of a library: each socket says where its provider has them.
template <typename Function>
Result Extension(Fd socket, GUID guid, Function* function) {
  DWORD bytes = 0;
  return Call<::WSAIoctl>(socket, DWORD{SIO_GET_EXTENSION_FUNCTION_POINTER}, static_cast<void*>(&guid),
                          DWORD{sizeof guid}, static_cast<void*>(function), DWORD{sizeof *function}, &bytes,
                          static_cast<WSAOVERLAPPED*>(nullptr), LPWSAOVERLAPPED_COMPLETION_ROUTINE{nullptr});
}

// What AcceptEx takes for each of its two addresses: 16 bytes more than the address.
constexpr DWORD kAcceptAddress = sizeof(sockaddr_storage) + 16;

// Who was accepted, also where that client has gone since: AcceptEx has kept it.
void FindPeer(Operation& operation) {
  operation.address_length = 0;
  LPFN_GETACCEPTEXSOCKADDRS get_addresses = nullptr;
  if (!Extension(operation.accepting, WSAID_GETACCEPTEXSOCKADDRS, &get_addresses).ok()) return;
  sockaddr* local = nullptr;
  sockaddr* peer = nullptr;
  int local_length = 0;
  int peer_length = 0;
  get_addresses(operation.bytes.get(), 0, kAcceptAddress, kAcceptAddress, &local, &local_length, &peer, &peer_length);
  if (peer == nullptr || peer_length <= 0 || peer_length > static_cast<int>(sizeof operation.address)) return;
  std::memcpy(&operation.address, peer, static_cast<size_t>(peer_length));
  operation.address_length = peer_length;
}

// ConnectEx wants a socket that is bound; connect(2) would bind it itself.
Result BindForConnect(Fd socket, int family) {
  sockaddr_storage any{};
  any.ss_family = static_cast<decltype(any.ss_family)>(family);
  const int length = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const Result bound = Call<::bind>(socket, reinterpret_cast<const sockaddr*>(&any), length);
  return !bound.ok() && bound.error() == WSAEINVAL ? Result::Ok(0) : bound;  // it is bound already
}

WSABUF BufferOf(Operation& operation) {
  return {static_cast<ULONG>(operation.size), reinterpret_cast<char*>(operation.bytes.get())};
}

int StartReceiving(Operation& operation) {
  WSABUF buffer = BufferOf(operation);
  const auto socket = reinterpret_cast<Fd>(operation.handle);
  const Result started =
      operation.kind == Kind::kReceive
          ? Call<::WSARecv>(socket, &buffer, DWORD{1}, nullptr, &operation.flags, &operation.overlapped, nullptr)
          : Call<::WSARecvFrom>(socket, &buffer, DWORD{1}, nullptr, &operation.flags,
                                reinterpret_cast<sockaddr*>(&operation.address), &operation.address_length,
                                &operation.overlapped, nullptr);
  return started.error();
}

int StartSending(Operation& operation, const sockaddr* to) {
  WSABUF buffer = BufferOf(operation);
  const auto socket = reinterpret_cast<Fd>(operation.handle);
  const Result started =
      to == nullptr ? Call<::WSASend>(socket, &buffer, DWORD{1}, nullptr, DWORD{0}, &operation.overlapped, nullptr)
                    : Call<::WSASendTo>(socket, &buffer, DWORD{1}, nullptr, DWORD{0}, to, operation.address_length,
                                        &operation.overlapped, nullptr);
  return started.error();
}

int StartFile(Operation& operation) {
  const auto size = static_cast<DWORD>(operation.size);
  auto* const bytes = static_cast<void*>(operation.bytes.get());
  const Result started =
      operation.kind == Kind::kRead
          ? Call<::ReadFile>(operation.handle, bytes, size, nullptr, &operation.overlapped)
          : Call<::WriteFile>(operation.handle, static_cast<const void*>(bytes), size, nullptr, &operation.overlapped);
  return started.error();
}

// What a handle may be used for: a descriptor that was opened for reading alone must not become one for writing.
ACCESS_MASK GrantedAccess(HANDLE handle) {
  static const auto query = reinterpret_cast<QueryObject>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQueryObject")));
  constexpr int kBasicInformation = 0;  // ObjectBasicInformation
  PUBLIC_OBJECT_BASIC_INFORMATION information{};
  const bool known =
      query != nullptr && Call<QueryObjectBy>(handle, kBasicInformation, static_cast<void*>(&information),
                                              ULONG{sizeof information}, nullptr, query)
                                  .value() >= 0;
  return known ? information.GrantedAccess : ACCESS_MASK{FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA};
}

// A descriptor of Node's fs is one of the C runtime's, whose handle is not for overlapped I/O: the same file once more.
Result OpenOverlapped(size_t fd, bool writing, UniqueHandle* opened) {
  using OsHandle = HANDLE (*)(int fd);
  static const auto os_handle = reinterpret_cast<OsHandle>(FunctionOfProgram("uv_get_osfhandle"));
  if (os_handle == nullptr) return Result::Error(ERROR_NOT_SUPPORTED);
  if (fd > INT32_MAX) return Result::Error(ERROR_INVALID_HANDLE);
  const HANDLE handle = os_handle(static_cast<int>(fd));
  if (handle == INVALID_HANDLE_VALUE || handle == nullptr) return Result::Error(ERROR_INVALID_HANDLE);
  const ACCESS_MASK needed = writing ? FILE_WRITE_DATA | FILE_APPEND_DATA : FILE_READ_DATA;
  if ((GrantedAccess(handle) & needed) == 0) return Result::Error(ERROR_INVALID_HANDLE);  // EBADF, as read(2) has it
  const Result again =
      Call<::ReOpenFile>(handle, DWORD{writing ? GENERIC_WRITE : GENERIC_READ},
                         DWORD{FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE}, DWORD{FILE_FLAG_OVERLAPPED});
  if (again.ok()) *opened = UniqueHandle(reinterpret_cast<HANDLE>(static_cast<intptr_t>(again.value())));
  return Done(again);
}

class Iocp : public Napi::ObjectWrap<Iocp> {
 public:
  static Napi::Function Define(Napi::Env env) {
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

  explicit Iocp(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Iocp>(info) {}
  ~Iocp() override { End(kLongestClose); }

 private:
  Napi::Value Answer(Result result) { return {Env(), ToJavaScript(Env(), result)}; }

  // ------------------------------------------------------------------------------------------------------- the port

  // open(concurrency, reusable): 0 or a negative error. concurrency 0: as many threads as there are processors.
  // reusable: the sockets of one that was closed may be used with the next one (platform/win_ports.h).
  Napi::Value Open(const Napi::CallbackInfo& info) {
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
  Napi::Value WakeHandle(const Napi::CallbackInfo& info) {
    if (handle_ == 0 && port_->IsOpen()) handle_ = GiveHandle(port_);
    return Napi::Number::New(info.Env(), handle_);
  }

  // associate(handle, key): CreateIoCompletionPort.
  Napi::Value Associate(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd handle = args.FdAt(0);
    const int64_t key = IdAt(args, 1);
    if (!args.ok()) return info.Env().Undefined();
    return Answer(port_->Associate(HandleOf(handle), static_cast<ULONG_PTR>(key)));
  }

  // isAssociated(handle): with this port.
  Napi::Value IsAssociated(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd handle = args.FdAt(0);
    if (!args.ok()) return info.Env().Undefined();
    return Napi::Boolean::New(info.Env(), port_->Has(HandleOf(handle)));
  }

  // postQueuedCompletionStatus(key, bytes)
  Napi::Value Post(const Napi::CallbackInfo& info) {
    Args args(info);
    const int64_t key = IdAt(args, 0);
    const size_t bytes = args.SizeAt(1, UINT32_MAX);
    if (!args.ok()) return info.Env().Undefined();
    return Answer(port_->Post(static_cast<ULONG_PTR>(key), static_cast<DWORD>(bytes)));
  }

  // close(milliseconds): waits that long for what it cancels. How many operations are lost: memory that is never freed.
  Napi::Value Close(const Napi::CallbackInfo& info) {
    Args args(info);
    const double timeout = args.TimeoutAt(0);
    if (!args.ok()) return info.Env().Undefined();
    return Napi::Number::New(info.Env(), static_cast<double>(End(std::clamp(timeout, 0.0, kLongestClose))));
  }

  size_t End(double timeout) {
    if (!port_->IsOpen()) return 0;
    ended_ = true;
    napi_remove_env_cleanup_hook(Env(), EndWithEnvironment, this);
    if (handle_ != 0) TakeBackHandle(handle_);
    taken_.clear();
    const size_t left = port_->Close(timeout);
    files_.clear();
    return left;
  }

  static void EndWithEnvironment(void* self) { static_cast<Iocp*>(self)->End(kLongestClose); }

  // --------------------------------------------------------------------------------------------------- the operations

  // Whole, and such that JavaScript's numbers say it exactly.
  static int64_t IdAt(Args& args, size_t index) {
    const double value = args.NumberAt(index);
    if (!(value >= 0 && value <= static_cast<double>(kHighestId)) ||
        value != static_cast<double>(static_cast<int64_t>(value))) {
      args.Fail(index, "a whole number, 0 or more");
      return 0;
    }
    return static_cast<int64_t>(value);
  }

  std::unique_ptr<Operation> OperationOf(Kind kind, Args& args) {
    auto operation = std::make_unique<Operation>();
    operation->kind = kind;
    operation->id = IdAt(args, 0);
    operation->handle = HandleOf(args.FdAt(1));
    if (operation->id == 0) args.Fail(0, "an id, more than 0");
    return operation;
  }

  // The operation's own memory: empty, or with a copy of what is sent.
  static Result Furnish(Operation& operation, size_t size) {
    return operation.Allocate(size) ? Result::Ok(0) : Result::Error(kNoMemory);
  }
  static Result Furnish(Operation& operation, std::span<const uint8_t> bytes) {
    const Result furnished = Furnish(operation, bytes.size());
    if (furnished.ok() && !bytes.empty()) std::memcpy(operation.bytes.get(), bytes.data(), bytes.size());
    return furnished;
  }
  static void SetPosition(Operation& operation, int64_t position) {
    operation.overlapped.Offset = static_cast<DWORD>(position & UINT32_MAX);
    operation.overlapped.OffsetHigh = static_cast<DWORD>(position >> 32);
  }

  template <typename StartCall>
  Napi::Value Start(std::unique_ptr<Operation> operation, Result furnished, StartCall start) {
    return Answer(furnished.ok() ? port_->Start(std::move(operation), start) : furnished);
  }

  // acceptEx(id, listener, accepting, owned): the connection is made in the socket `accepting`. owned: that belongs to
  // the operation, which closes it if it fails, and tells it as its value if not.
  Napi::Value AcceptEx(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kAccept, args);
    operation->accepting = args.FdAt(2);
    const bool owned = args.BooleanAt(3);
    if (!args.ok()) return info.Env().Undefined();
    if (owned) {
      operation->accepted = UniqueFd(operation->accepting);
      Unclaimed::Remove(Env(), operation->accepting);
    }
    LPFN_ACCEPTEX accept_ex = nullptr;
    Result ready = Extension(reinterpret_cast<Fd>(operation->handle), WSAID_ACCEPTEX, &accept_ex);
    if (ready.ok()) ready = Furnish(*operation, size_t{2 * kAcceptAddress});
    return Start(std::move(operation), ready, [accept_ex](Operation& it) {
      DWORD bytes = 0;
      return Call<AcceptExBy>(reinterpret_cast<Fd>(it.handle), it.accepting, static_cast<void*>(it.bytes.get()),
                              DWORD{0}, kAcceptAddress, kAcceptAddress, &bytes, &it.overlapped, accept_ex)
          .error();
    });
  }

  // connectEx(id, socket, sockaddr)
  Napi::Value ConnectEx(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kConnect, args);
    const std::span<uint8_t> address = args.BytesAt(2);
    if (!args.ok()) return info.Env().Undefined();
    const auto socket = reinterpret_cast<Fd>(operation->handle);
    LPFN_CONNECTEX connect_ex = nullptr;
    Result ready = CopyAddress(*operation, address);
    if (ready.ok()) ready = Extension(socket, WSAID_CONNECTEX, &connect_ex);
    if (ready.ok()) ready = BindForConnect(socket, operation->address.ss_family);
    return Start(std::move(operation), ready, [connect_ex](Operation& it) {
      return Call<ConnectExBy>(reinterpret_cast<Fd>(it.handle), reinterpret_cast<const sockaddr*>(&it.address),
                               it.address_length, nullptr, DWORD{0}, nullptr, &it.overlapped, connect_ex)
          .error();
    });
  }

  static Result CopyAddress(Operation& operation, std::span<const uint8_t> address) {
    if (address.size() < sizeof operation.address.ss_family || address.size() > sizeof operation.address)
      return Result::Error(WSAEFAULT);
    std::memcpy(&operation.address, address.data(), address.size());
    operation.address_length = static_cast<int>(address.size());
    return Result::Ok(0);
  }

  // wsaRecv(id, socket, size); 0 waits until there is something to receive.
  Napi::Value WsaRecv(const Napi::CallbackInfo& info) { return Receive(info, Kind::kReceive); }
  // wsaRecvFrom(id, socket, size)
  Napi::Value WsaRecvFrom(const Napi::CallbackInfo& info) { return Receive(info, Kind::kReceiveFrom); }
  Napi::Value Receive(const Napi::CallbackInfo& info, Kind kind) {
    Args args(info);
    auto operation = OperationOf(kind, args);
    const size_t size = args.SizeAt(2, INT32_MAX);
    if (!args.ok()) return info.Env().Undefined();
    const Result ready = Furnish(*operation, size);
    return Start(std::move(operation), ready, StartReceiving);
  }

  // wsaSend(id, socket, bytes)
  Napi::Value WsaSend(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kSend, args);
    const std::span<const uint8_t> bytes = args.BytesAt(2);
    if (!args.ok()) return info.Env().Undefined();
    const Result ready = Furnish(*operation, bytes);
    return Start(std::move(operation), ready, [](Operation& it) { return StartSending(it, nullptr); });
  }

  // wsaSendTo(id, socket, bytes, sockaddr)
  Napi::Value WsaSendTo(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kSend, args);
    const std::span<const uint8_t> bytes = args.BytesAt(2);
    const std::span<const uint8_t> address = args.BytesAt(3);
    if (!args.ok()) return info.Env().Undefined();
    Result ready = CopyAddress(*operation, address);
    if (ready.ok()) ready = Furnish(*operation, bytes);
    return Start(std::move(operation), ready,
                 [](Operation& it) { return StartSending(it, reinterpret_cast<const sockaddr*>(&it.address)); });
  }

  // openFile(fd, writing): the handle of a file of Node's, opened once more for overlapped I/O; until closeFile, or
  // with this object.
  Napi::Value OpenFile(const Napi::CallbackInfo& info) {
    Args args(info);
    const size_t fd = args.SizeAt(0, UINT32_MAX);
    const bool writing = args.BooleanAt(1);
    if (!args.ok()) return info.Env().Undefined();
    UniqueHandle file;
    const Result opened = port_->IsOpen() ? OpenOverlapped(fd, writing, &file) : Result::Error(ERROR_INVALID_HANDLE);
    if (!opened.ok()) return Answer(opened);
    const HANDLE handle = file.get();
    files_.emplace(handle, std::move(file));
    return Answer(Result::Ok(static_cast<int64_t>(reinterpret_cast<intptr_t>(handle))));
  }

  // closeFile(handle): of those that openFile gave.
  Napi::Value CloseFile(const Napi::CallbackInfo& info) {
    Args args(info);
    const HANDLE handle = HandleOf(args.FdAt(0));
    if (!args.ok()) return info.Env().Undefined();
    const auto found = files_.find(handle);
    if (found == files_.end()) return Answer(Result::Error(ERROR_INVALID_HANDLE));
    const Result closed = found->second.Close();
    files_.erase(found);
    return Answer(closed);
  }

  // readFile(id, handle, size, position)
  Napi::Value ReadFromFile(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kRead, args);
    const size_t size = args.SizeAt(2, INT32_MAX);
    SetPosition(*operation, IdAt(args, 3));
    if (!args.ok()) return info.Env().Undefined();
    const Result ready = Furnish(*operation, size);
    return Start(std::move(operation), ready, StartFile);
  }

  // writeFile(id, handle, bytes, position)
  Napi::Value WriteToFile(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kWrite, args);
    const std::span<const uint8_t> bytes = args.BytesAt(2);
    SetPosition(*operation, IdAt(args, 3));
    if (!args.ok()) return info.Env().Undefined();
    const Result ready = Furnish(*operation, bytes);
    return Start(std::move(operation), ready, StartFile);
  }

  // readDescriptor(id, fd, size, position): a file of Node's, which is opened for this operation alone.
  Napi::Value ReadDescriptor(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kRead, args);
    const size_t fd = args.SizeAt(1, UINT32_MAX);
    const size_t size = args.SizeAt(2, INT32_MAX);
    SetPosition(*operation, IdAt(args, 3));
    if (!args.ok()) return info.Env().Undefined();
    Result ready = Furnish(*operation, size);
    if (ready.ok()) ready = OpenFor(*operation, fd);
    return Start(std::move(operation), ready, StartFile);
  }

  // writeDescriptor(id, fd, bytes, position)
  Napi::Value WriteDescriptor(const Napi::CallbackInfo& info) {
    Args args(info);
    auto operation = OperationOf(Kind::kWrite, args);
    const size_t fd = args.SizeAt(1, UINT32_MAX);
    const std::span<const uint8_t> bytes = args.BytesAt(2);
    SetPosition(*operation, IdAt(args, 3));
    if (!args.ok()) return info.Env().Undefined();
    Result ready = Furnish(*operation, bytes);
    if (ready.ok()) ready = OpenFor(*operation, fd);
    return Start(std::move(operation), ready, StartFile);
  }

  Result OpenFor(Operation& operation, size_t fd) {
    const Result opened = OpenOverlapped(fd, operation.kind == Kind::kWrite, &operation.file);
    operation.handle = operation.file.get();
    return opened.ok() ? port_->Associate(operation.handle, 0) : opened;
  }

  // cancel(id): CancelIoEx of one operation. Its packet comes all the same. -ERROR_NOT_FOUND: none is under way.
  Napi::Value Cancel(const Napi::CallbackInfo& info) {
    Args args(info);
    const int64_t id = IdAt(args, 0);
    if (!args.ok()) return info.Env().Undefined();
    return Answer(port_->Cancel(id));
  }

  // cancelAllOf(handle): CancelIoEx of all that this process has begun on it.
  Napi::Value CancelAllOf(const Napi::CallbackInfo& info) {
    Args args(info);
    const Fd handle = args.FdAt(0);
    if (!args.ok()) return info.Env().Undefined();
    return Answer(port_->CancelAllOf(HandleOf(handle)));
  }

  // ---------------------------------------------------------------------------------------------------- the packets

  // getQueuedCompletionStatusEx(out, most, timeout): how many rows it put into `out`, or a negative error.
  Napi::Value Wait(const Napi::CallbackInfo& info) {
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

  static void Write(std::span<double> out, size_t row, const std::array<double, kRowLength>& numbers) {
    std::copy(numbers.begin(), numbers.end(), out.begin() + static_cast<std::ptrdiff_t>(row * kRowLength));
  }

  void Tell(Packet& packet, std::span<double> out, size_t row) {
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
      Unclaimed::Add(Env(), connection);
      value = static_cast<double>(connection);
    }
    operation.file.Close().Ignore("what was to be written is written");
    Write(out, row,
          {key, value, static_cast<double>(operation.id), static_cast<double>(-packet.error),
           static_cast<double>(FlagsOf(operation))});
    taken_[row] = std::move(packet.operation);
  }

  static int FlagsOf(const Operation& operation) {
    return (operation.Receives() ? kReceived : 0) | (operation.kind == Kind::kReceiveFrom ? kHasSender : 0) |
           (operation.cancelled ? kCancelled : 0);
  }

  // The operation of a row of the last wait, until the next one.
  const Operation* TakenAt(Args& args, size_t index) const {
    const size_t row = args.SizeAt(index, UINT32_MAX);
    return row < taken_.size() ? taken_[row].get() : nullptr;
  }

  // received(row, target): copies what was received to the beginning of the target: how many bytes.
  Napi::Value Received(const Napi::CallbackInfo& info) {
    Args args(info);
    const Operation* const operation = TakenAt(args, 0);
    const std::span<uint8_t> target = args.BytesAt(1);
    if (!args.ok()) return info.Env().Undefined();
    const size_t size = operation != nullptr && operation->Receives() ? std::min(target.size(), operation->size) : 0;
    if (size > 0) std::memcpy(target.data(), operation->bytes.get(), size);
    return Answer(Result::Ok(static_cast<int64_t>(size)));
  }

  // sender(row, target): the same, the sockaddr of the sender, or of who was accepted.
  Napi::Value Sender(const Napi::CallbackInfo& info) {
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
  Napi::Value FetchCancelled(const Napi::CallbackInfo& info) {
    Args args(info);
    const double timeout = args.TimeoutAt(0);
    if (args.ok()) port_->FetchCancelled(std::clamp(timeout, 0.0, kLongestClose));
    return info.Env().Undefined();
  }

  const std::shared_ptr<Port> port_ = std::make_shared<Port>();
  uint32_t handle_ = 0;
  bool ended_ = false;
  std::vector<std::unique_ptr<Operation>> taken_;
  std::unordered_map<HANDLE, UniqueHandle> files_;
};

}  // namespace

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
