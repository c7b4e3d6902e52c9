// The operations of a completion port on sockets. `id` identifies the operation in its packet. Each method returns 0 (a
// packet follows) or a negative error (no packet follows).
#include <algorithm>
#include <cstring>

#include "core/args.h"
#include "mechanisms/iocp.h"
#include "mechanisms/iocp_calls.h"

namespace selectors {
namespace {

using Kind = Operation::Kind;

// AcceptEx, ConnectEx and GetAcceptExSockaddrs are not exported by a library: their addresses depend on the socket's
// provider, and WSAIoctl returns them.
template <typename Function>
Result LoadExtension(Fd socket, GUID guid, Function* function) {
  DWORD bytes = 0;
  return Call<::WSAIoctl>(socket, DWORD{SIO_GET_EXTENSION_FUNCTION_POINTER}, static_cast<void*>(&guid),
                          DWORD{sizeof guid}, static_cast<void*>(function), DWORD{sizeof *function}, &bytes,
                          static_cast<WSAOVERLAPPED*>(nullptr), LPWSAOVERLAPPED_COMPLETION_ROUTINE{nullptr});
}

// AcceptEx needs 16 bytes more than the longest address, for each of its two addresses.
constexpr DWORD kAcceptAddressSize = sizeof(sockaddr_storage) + 16;

// ConnectEx needs a bound socket; connect(2) would bind it implicitly.
Result BindForConnect(Fd socket, int family) {
  sockaddr_storage any{};
  any.ss_family = static_cast<decltype(any.ss_family)>(family);
  const int length = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const Result bound = Call<::bind>(socket, reinterpret_cast<const sockaddr*>(&any), length);
  return !bound.ok() && bound.error() == WSAEINVAL ? Result::Ok(0) : bound;  // WSAEINVAL: bound already
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

void StoreAcceptedPeer(Operation& operation) {
  operation.address_length = 0;
  LPFN_GETACCEPTEXSOCKADDRS get_addresses = nullptr;
  if (!LoadExtension(operation.accepting, WSAID_GETACCEPTEXSOCKADDRS, &get_addresses).ok()) return;
  sockaddr* local = nullptr;
  sockaddr* peer = nullptr;
  int local_length = 0;
  int peer_length = 0;
  get_addresses(operation.bytes.get(), 0, kAcceptAddressSize, kAcceptAddressSize, &local, &local_length, &peer,
                &peer_length);
  if (peer == nullptr || peer_length <= 0 || peer_length > static_cast<int>(sizeof operation.address)) return;
  std::memcpy(&operation.address, peer, static_cast<size_t>(peer_length));
  operation.address_length = peer_length;
}

// acceptEx(id, listener, accepting, owned): the socket `accepting` becomes the connection. owned: the operation owns
// that socket, closes it on failure, and returns it as the value of its row on success.
Napi::Value Iocp::AcceptEx(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kAccept, args);
  operation->accepting = args.FdAt(2);
  const bool owned = args.BooleanAt(3);
  if (!args.ok()) return info.Env().Undefined();
  if (owned) {
    operation->accepted = UniqueFd(operation->accepting);
    UnclaimedFds::Remove(Env(), operation->accepting);
  }
  LPFN_ACCEPTEX accept_ex = nullptr;
  Result prepared = LoadExtension(reinterpret_cast<Fd>(operation->handle), WSAID_ACCEPTEX, &accept_ex);
  if (prepared.ok()) prepared = Allocate(*operation, size_t{2 * kAcceptAddressSize});
  return Start(std::move(operation), prepared, [accept_ex](Operation& it) {
    DWORD bytes = 0;
    return Call<InvokeAcceptEx>(reinterpret_cast<Fd>(it.handle), it.accepting, static_cast<void*>(it.bytes.get()),
                                DWORD{0}, kAcceptAddressSize, kAcceptAddressSize, &bytes, &it.overlapped, accept_ex)
        .error();
  });
}

// connectEx(id, socket, sockaddr)
Napi::Value Iocp::ConnectEx(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kConnect, args);
  const std::span<uint8_t> address = args.BytesAt(2);
  if (!args.ok()) return info.Env().Undefined();
  const auto socket = reinterpret_cast<Fd>(operation->handle);
  LPFN_CONNECTEX connect_ex = nullptr;
  Result prepared = CopyAddress(*operation, address);
  if (prepared.ok()) prepared = LoadExtension(socket, WSAID_CONNECTEX, &connect_ex);
  if (prepared.ok()) prepared = BindForConnect(socket, operation->address.ss_family);
  return Start(std::move(operation), prepared, [connect_ex](Operation& it) {
    return Call<InvokeConnectEx>(reinterpret_cast<Fd>(it.handle), reinterpret_cast<const sockaddr*>(&it.address),
                                 it.address_length, nullptr, DWORD{0}, nullptr, &it.overlapped, connect_ex)
        .error();
  });
}

// wsaRecv(id, socket, size): size 0 completes when there are bytes to receive.
Napi::Value Iocp::WsaRecv(const Napi::CallbackInfo& info) { return Receive(info, Kind::kReceive); }
// wsaRecvFrom(id, socket, size): receives one datagram; sender() has the address.
Napi::Value Iocp::WsaRecvFrom(const Napi::CallbackInfo& info) { return Receive(info, Kind::kReceiveFrom); }
Napi::Value Iocp::Receive(const Napi::CallbackInfo& info, Kind kind) {
  Args args(info);
  auto operation = NewOperation(kind, args);
  const size_t size = args.SizeAt(2, INT32_MAX);
  if (!args.ok()) return info.Env().Undefined();
  const Result prepared = Allocate(*operation, size);
  return Start(std::move(operation), prepared, StartReceiving);
}

// wsaSend(id, socket, bytes)
Napi::Value Iocp::WsaSend(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kSend, args);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  if (!args.ok()) return info.Env().Undefined();
  const Result prepared = CopyBytes(*operation, bytes);
  return Start(std::move(operation), prepared, [](Operation& it) { return StartSending(it, nullptr); });
}

// wsaSendTo(id, socket, bytes, sockaddr)
Napi::Value Iocp::WsaSendTo(const Napi::CallbackInfo& info) {
  Args args(info);
  auto operation = NewOperation(Kind::kSend, args);
  const std::span<const uint8_t> bytes = args.BytesAt(2);
  const std::span<const uint8_t> address = args.BytesAt(3);
  if (!args.ok()) return info.Env().Undefined();
  Result prepared = CopyAddress(*operation, address);
  if (prepared.ok()) prepared = CopyBytes(*operation, bytes);
  return Start(std::move(operation), prepared,
               [](Operation& it) { return StartSending(it, reinterpret_cast<const sockaddr*>(&it.address)); });
}

}  // namespace selectors
