// socket(2) and the calls on a socket: one function per system call, named after it. Each returns a number; a negative
// one is the system's error, negated.
#include "core/args.h"
#include "core/descriptor.h"
#include "core/transfer.h"
#include "net/net.h"

namespace selectors {
namespace {

const sockaddr* AddressOf(std::span<uint8_t> bytes) { return reinterpret_cast<const sockaddr*>(bytes.data()); }
SocketLength LengthOf(std::span<uint8_t> bytes) { return static_cast<SocketLength>(bytes.size()); }

// The arguments buffer, offset and length: that part of the buffer, checked. Without offset and length the whole
// buffer: reading one number costs a tenth of what JavaScript and C++ together spend on a recv.
std::span<uint8_t> PartAt(Args& args, size_t index) {
  const std::span<uint8_t> bytes = args.BytesAt(index);
  if (!args.HasAt(index + 1)) return bytes;
  const size_t offset = args.SizeAt(index + 1, bytes.size());
  const size_t length = args.SizeAt(index + 2, bytes.size() - offset);
  return bytes.subspan(offset, length);
}

// socket(family, type, protocol)
napi_value Socket(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const int family = args.IntAt(0);
  const int type = args.IntAt(1);
  const int protocol = args.IntAt(2);
  if (!args.ok()) return nullptr;
  return NewFdToJavaScript(env, OpenSocket(family, type, protocol));
}

// socketpair(family, type, protocol, out): writes both descriptors to the Int32Array.
napi_value SocketPair(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const int family = args.IntAt(0);
  const int type = args.IntAt(1);
  const int protocol = args.IntAt(2);
  const std::span<int32_t> out = args.IntsAt(3);
  if (args.ok() && out.size() < 2) args.Fail(3, "an Int32Array of two");
  if (!args.ok()) return nullptr;
  Fd pair[2] = {kNoFd, kNoFd};
  const Result made = OpenSocketPair(family, type, protocol, pair);
  if (made.ok()) {
    for (size_t i = 0; i < 2; ++i) {
      UnclaimedFds::Add(env, pair[i]);
      out[i] = static_cast<int32_t>(pair[i]);
    }
  }
  return ToJavaScript(env, made);
}

// bind(fd, sockaddr)
napi_value Bind(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> address = args.BytesAt(1);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, Call<::bind>(fd, AddressOf(address), LengthOf(address)));
}

// listen(fd, backlog)
napi_value Listen(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const int backlog = args.IntAt(1);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, Call<::listen>(fd, backlog));
}

// accept(fd, nonBlocking, sockaddr, lengthOut): the connection's descriptor. Writes the peer's address to the
// Uint8Array, and its length to the Int32Array.
napi_value Accept(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const bool non_blocking = args.BooleanAt(1);
  const std::span<uint8_t> address = args.BytesAt(2);
  const std::span<int32_t> length_out = args.IntsAt(3);
  if (args.ok() && length_out.empty()) args.Fail(3, "an Int32Array of one");
  if (!args.ok()) return nullptr;
  SocketLength length = LengthOf(address);
  const Result accepted = AcceptConnection(fd, non_blocking, reinterpret_cast<sockaddr*>(address.data()), &length);
  length_out[0] = accepted.ok() ? static_cast<int32_t>(std::min(length, LengthOf(address))) : 0;
  return NewFdToJavaScript(env, accepted);
}

// connect(fd, sockaddr). An interrupted connect continues in the background (connect(2)), so EINTR becomes EINPROGRESS.
napi_value Connect(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> address = args.BytesAt(1);
  if (!args.ok()) return nullptr;
  const Result result = Call<::connect>(fd, AddressOf(address), LengthOf(address));
  return ToJavaScript(env, !result.ok() && result.error() == kInterrupted ? Result::Error(kInProgress) : result);
}

// Of recv and send: fd, buffer, offset, length, flags.
constexpr size_t kTransferArguments = 5;

// Default: 0.
int FlagsAt(Args& args) { return args.HasAt(4) ? args.IntAt(4) : 0; }

// recv(fd, buffer[, offset, length[, flags]]): the number of bytes received, at most the buffer's length; 0: the peer
// has finished sending.
napi_value Recv(napi_env env, napi_callback_info info) {
  Args args(env, info, kTransferArguments);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> part = PartAt(args, 1);
  const int flags = FlagsAt(args);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, ReceiveBytes(fd, part, flags));
}

// send(fd, buffer[, offset, length[, flags]]): the number of bytes that the kernel took.
napi_value Send(napi_env env, napi_callback_info info) {
  Args args(env, info, kTransferArguments);
  const Fd fd = args.FdAt(0);
  const std::span<const uint8_t> part = PartAt(args, 1);
  const int flags = FlagsAt(args);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, SendBytes(fd, part, flags));
}

// recvfrom(fd, buffer, flags, sockaddr, lengthOut): the number of bytes received. Writes the sender's address to the
// Uint8Array, and its length to the Int32Array.
napi_value RecvFrom(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> buffer = args.BytesAt(1);
  const int flags = args.IntAt(2);
  const std::span<uint8_t> address = args.BytesAt(3);
  const std::span<int32_t> length_out = args.IntsAt(4);
  if (args.ok() && length_out.empty()) args.Fail(4, "an Int32Array of one");
  if (!args.ok()) return nullptr;
  SocketLength length = LengthOf(address);
  ClearIfDiscarded(buffer, flags);
  const Result result = CallRetry<::recvfrom>(fd, AsRawBytes(buffer.data()), ClampSize(buffer.size()), flags,
                                              reinterpret_cast<sockaddr*>(address.data()), &length);
  // The kernel returns the full length even if it has truncated the address.
  length_out[0] = result.ok() ? static_cast<int32_t>(length < LengthOf(address) ? length : LengthOf(address)) : 0;
  return ToJavaScript(env, ClampLength(buffer.size(), result));
}

// sendto(fd, buffer, flags, sockaddr): the number of bytes that the kernel took.
napi_value SendTo(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<const uint8_t> buffer = args.BytesAt(1);
  const int flags = args.IntAt(2);
  const std::span<uint8_t> address = args.BytesAt(3);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env,
                      MapSendToError(CallRetry<::sendto>(fd, AsRawBytes(buffer.data()), ClampSize(buffer.size()),
                                                         flags | kNoSignal, AddressOf(address), LengthOf(address))));
}

// shutdown(fd, how): 0 read, 1 write, 2 both; the same on all systems.
napi_value Shutdown(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const int how = args.IntAt(1);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, Call<::shutdown>(fd, how));
}

// getsockname(fd, out), getpeername(fd, out): the number of bytes of the address in `out`.
template <auto Function>
napi_value NameOf(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<uint8_t> out = args.BytesAt(1);
  if (!args.ok()) return nullptr;
  SocketLength length = LengthOf(out);
  const Result result = Call<Function>(fd, reinterpret_cast<sockaddr*>(out.data()), &length);
  return ToJavaScript(env, result.ok() ? Result::Ok(length < LengthOf(out) ? length : LengthOf(out)) : result);
}

// setsockopt(fd, level, option, value)
napi_value SetSockOpt(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const int level = args.IntAt(1);
  const int option = args.IntAt(2);
  const std::span<const uint8_t> value = args.BytesAt(3);
  if (!args.ok()) return nullptr;
  return ToJavaScript(
      env, Call<::setsockopt>(fd, level, option, AsRawBytes(value.data()), static_cast<SocketLength>(value.size())));
}

// getsockopt(fd, level, option, out): the number of bytes of the value in `out`.
napi_value GetSockOpt(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const int level = args.IntAt(1);
  const int option = args.IntAt(2);
  const std::span<uint8_t> out = args.BytesAt(3);
  if (!args.ok()) return nullptr;
  SocketLength length = LengthOf(out);
  const Result result = Call<::getsockopt>(fd, level, option, AsRawBytes(out.data()), &length);
  // The value may be longer than `out`, or its length may count entries and not bytes (SO_GET_FILTER).
  return ToJavaScript(env, result.ok() ? ClampLength(out.size(), Result::Ok(static_cast<int64_t>(length))) : result);
}

// setLinger(fd, seconds): negative disables it. In C++ because the field types of struct linger differ between systems.
napi_value SetLinger(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const int seconds = args.IntAt(1);
  if (!args.ok()) return nullptr;
  linger value{};
  value.l_onoff = seconds >= 0 ? 1 : 0;
  value.l_linger = static_cast<decltype(value.l_linger)>(seconds >= 0 ? seconds : 0);
  return ToJavaScript(env,
                      Call<::setsockopt>(fd, SOL_SOCKET, kLingerOption, AsRawBytes(static_cast<const void*>(&value)),
                                         static_cast<SocketLength>(sizeof value)));
}

// getLinger(fd, out): writes the seconds to the Int32Array; -1: disabled.
napi_value GetLinger(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const std::span<int32_t> out = args.IntsAt(1);
  if (args.ok() && out.empty()) args.Fail(1, "an Int32Array of one");
  if (!args.ok()) return nullptr;
  linger value{};
  SocketLength length = sizeof value;
  const Result result =
      Call<::getsockopt>(fd, SOL_SOCKET, kLingerOption, AsRawBytes(static_cast<void*>(&value)), &length);
  if (result.ok()) out[0] = value.l_onoff != 0 ? static_cast<int32_t>(value.l_linger) : -1;
  return ToJavaScript(env, result);
}

// A function of one descriptor.
template <Result (*Function)(Fd)>
napi_value OfFd(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, Function(fd));
}

// duplicate(fd): a second descriptor of the same open file.
napi_value Duplicate(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  if (!args.ok()) return nullptr;
  return NewFdToJavaScript(env, DuplicateFd(fd));
}

// A function of one descriptor and a boolean.
template <Result (*Function)(Fd, bool)>
napi_value OfFdAndFlag(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Fd fd = args.FdAt(0);
  const bool on = args.BooleanAt(1);
  if (!args.ok()) return nullptr;
  return ToJavaScript(env, Function(fd, on));
}

}  // namespace

void RegisterSocket(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "socket", Socket);
  Export(env, exports, "socketpair", SocketPair);
  Export(env, exports, "bind", Bind);
  Export(env, exports, "listen", Listen);
  Export(env, exports, "accept", Accept);
  Export(env, exports, "connect", Connect);
  Export(env, exports, "recv", Recv);
  Export(env, exports, "send", Send);
  Export(env, exports, "recvfrom", RecvFrom);
  Export(env, exports, "sendto", SendTo);
  Export(env, exports, "shutdown", Shutdown);
  Export(env, exports, "getsockname", NameOf<::getsockname>);
  Export(env, exports, "getpeername", NameOf<::getpeername>);
  Export(env, exports, "setsockopt", SetSockOpt);
  Export(env, exports, "getsockopt", GetSockOpt);
  Export(env, exports, "setLinger", SetLinger);
  Export(env, exports, "getLinger", GetLinger);
  Export(env, exports, "isOpen", OfFd<IsOpenFd>);
  Export(env, exports, "duplicate", Duplicate);
  Export(env, exports, "isNonBlocking", OfFd<IsNonBlocking>);
  Export(env, exports, "setNonBlocking", OfFdAndFlag<SetNonBlocking>);
  Export(env, exports, "isInheritable", OfFd<IsInheritable>);
  Export(env, exports, "setInheritable", OfFdAndFlag<SetInheritable>);
  // Negative errors that callers expect, as recv, accept, connect and others return them.
  exports.Set("wouldBlock", Napi::Number::New(env, -kWouldBlock));
  exports.Set("inProgress", Napi::Number::New(env, -kInProgress));
  exports.Set("badDescriptor", Napi::Number::New(env, -kBadDescriptor));
  exports.Set("canceled", Napi::Number::New(env, -kCanceled));
  exports.Set("SOMAXCONN", Napi::Number::New(env, SOMAXCONN));
}

}  // namespace selectors
