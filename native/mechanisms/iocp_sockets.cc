// The operations of a completion port on sockets.
#include <algorithm>
#include <cstring>

#include "core/args.h"
#include "mechanisms/iocp.h"
#include "mechanisms/iocp_calls.h"

namespace selectors {
namespace {

using Kind = Operation::Kind;

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

Result CopyAddress(Operation& operation, std::span<const uint8_t> address) {
  if (address.size() < sizeof operation.address.ss_family || address.size() > sizeof operation.address)
    return Result::Error(WSAEFAULT);
  std::memcpy(&operation.address, address.data(), address.size());
  operation.address_length = static_cast<int>(address.size());
  return Result::Ok(0);
}

}  // namespace

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

// acceptEx(id, listener, accepting, owned): the connection is made in the socket `accepting`. owned: that belongs to
// the operation, which closes it if it fails, and tells it as its value if not.
Napi::Value Iocp::AcceptEx(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = OperationOf(Kind::kAccept, args);
  operation->accepting = args.FdAt(2);
  const bool owned = args.BooleanAt(3);
  if (!args.ok()) return info.Env().Undefined();
  if (owned) {
    operation->accepted = UniqueFd(operation->accepting);
    UnclaimedFds::Remove(Env(), operation->accepting);
  }
  LPFN_ACCEPTEX accept_ex = nullptr;
  Result ready = Extension(reinterpret_cast<Fd>(operation->handle), WSAID_ACCEPTEX, &accept_ex);
  if (ready.ok()) ready = Furnish(*operation, size_t{2 * kAcceptAddress});
  return Start(std::move(operation), ready, [accept_ex](Operation& it) {
    DWORD bytes = 0;
    return Call<AcceptExBy>(reinterpret_cast<Fd>(it.handle), it.accepting, static_cast<void*>(it.bytes.get()), DWORD{0},
                            kAcceptAddress, kAcceptAddress, &bytes, &it.overlapped, accept_ex)
        .error();
  });
}

// connectEx(id, socket, sockaddr)
Napi::Value Iocp::ConnectEx(const Napi::CallbackInfo& info) {
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

// wsaRecv(id, socket, size); 0 waits until there is something to receive.
Napi::Value Iocp::WsaRecv(const Napi::CallbackInfo& info) { return Receive(info, Kind::kReceive); }
// wsaRecvFrom(id, socket, size)
Napi::Value Iocp::WsaRecvFrom(const Napi::CallbackInfo& info) { return Receive(info, Kind::kReceiveFrom); }
Napi::Value Iocp::Receive(const Napi::CallbackInfo& info, Kind kind) {
  Args args(info);
  auto operation = OperationOf(kind, args);
  const size_t size = args.SizeAt(2, INT32_MAX);
  if (!args.ok()) return info.Env().Undefined();
  const Result ready = Furnish(*operation, size);
  return Start(std::move(operation), ready, StartReceiving);
}

// wsaSend(id, socket, bytes)
Napi::Value Iocp::WsaSend(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = OperationOf(Kind::kSend, args);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  if (!args.ok()) return info.Env().Undefined();
  const Result ready = Furnish(*operation, bytes);
  return Start(std::move(operation), ready, [](Operation& it) { return StartSending(it, nullptr); });
}

// wsaSendTo(id, socket, bytes, sockaddr)
Napi::Value Iocp::WsaSendTo(const Napi::CallbackInfo& info) {
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

}  // namespace selectors
