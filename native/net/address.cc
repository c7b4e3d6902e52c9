// Converts between sockaddr and text: host and port, or the path of a Unix socket. Resolves names.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "core/args.h"
#include "net/net.h"

namespace selectors {
namespace {

napi_value Bytes(napi_env env, const void* data, size_t length) {
  napi_value buffer = nullptr;
  napi_create_buffer_copy(env, length, data, nullptr, &buffer);
  return buffer;
}

// The error of getaddrinfo(3): its name as a string ('EAI_AGAIN'; EAI_NONAME is Node's 'ENOTFOUND'), or for EAI_SYSTEM
// a number, the negative error of the system call that failed.
napi_value ResolverError(napi_env env, int error) {
  const int system_error = ResolverSystemError(error);
  if (system_error != 0) return ToJavaScript(env, Result::Error(system_error));
  const char* const name = ResolverErrorName(error);
  return Napi::String::New(env, name == nullptr ? "UNKNOWN" : name);
}

// resolve(host, port, family): the sockaddrs of an IP address or a host name, at least one, in getaddrinfo(3)'s order.
// For a name it calls the system's resolver and BLOCKS until that returns. On failure a string or a number: see
// ResolverError.
napi_value Resolve(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::string host = args.StringAt(0);
  const size_t port = args.SizeAt(1, 65535);
  addrinfo hints{};
  hints.ai_family = args.IntAt(2);
  hints.ai_socktype = SOCK_STREAM;  // one result per address, not one per socket type
  if (!args.ok()) return nullptr;

  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) return ResolverError(env, error);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  const auto network_port = htons(static_cast<uint16_t>(port));
  napi_value list = nullptr;
  napi_create_array(env, &list);
  uint32_t count = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    sockaddr_storage address{};
    const size_t length = std::min(static_cast<size_t>(one->ai_addrlen), sizeof address);
    std::memcpy(&address, one->ai_addr, length);
    if (address.ss_family == AF_INET) reinterpret_cast<sockaddr_in*>(&address)->sin_port = network_port;
    if (address.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = network_port;
    napi_set_element(env, list, count++, Bytes(env, &address, length));
  }
  return list;
}

// encodeUnix(path): the sockaddr_un of a path's bytes, or -ENAMETOOLONG. A path that begins with NUL is a name in
// Linux's abstract namespace, which the address's length ends. A path that fills sun_path has no NUL after it
// (unix(7)).
napi_value EncodeUnix(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<const uint8_t> path = args.BytesAt(0);
  if (!args.ok()) return nullptr;
  UnixAddress address{};
  constexpr size_t kMaxPath = sizeof address.sun_path;
  if (path.size() > kMaxPath) return ToJavaScript(env, Result::Error(kNameTooLong));
  const bool has_nul = !path.empty() && path[0] != 0;
  const size_t used = path.size() + (has_nul ? 1 : 0);
  if (used > kMaxPath && !kUnixPathMayLackNul) return ToJavaScript(env, Result::Error(kNameTooLong));
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), reinterpret_cast<uint8_t*>(address.sun_path));
  return Bytes(env, &address, offsetof(UnixAddress, sun_path) + std::min(used, kMaxPath));
}

// The bytes of the path in a sockaddr_un of `size` bytes. Empty: the socket has no name.
std::span<const char> PathOf(const UnixAddress& address, size_t size) {
  constexpr size_t kOffset = offsetof(UnixAddress, sun_path);
  const std::span<const char> field(address.sun_path);
  const std::span<const char> path = field.first(size > kOffset ? std::min(size - kOffset, field.size()) : 0);
  // The address's length ends an abstract name: each NUL is part of it, also the last one (unix(7)).
  if (kHasAbstractNames && !path.empty() && path[0] == '\0') return path;
  return path.first(static_cast<size_t>(std::find(path.begin(), path.end(), '\0') - path.begin()));
}

// decode(sockaddr): [host, port]; or the bytes of a Unix path; null for any other family.
napi_value Decode(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<uint8_t> bytes = args.BytesAt(0);
  if (!args.ok()) return nullptr;
  sockaddr_storage address{};
  napi_value result = nullptr;
  if (bytes.size() < sizeof address.ss_family) {
    // No address: on some systems that of an unbound Unix peer has no bytes at all.
    napi_get_null(env, &result);
    return result;
  }
  std::memcpy(&address, bytes.data(), std::min(bytes.size(), sizeof address));
  Napi::Env napi(env);
  if (address.ss_family == AF_INET || address.ss_family == AF_INET6) {
    // getnameinfo(3) also prints the scope of a link-local address: fe80::1%eth0.
    char host[NI_MAXHOST];
    const auto length =
        static_cast<SocketLength>(address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof host, nullptr, 0, NI_NUMERICHOST) ==
        0) {
      const uint16_t port = ntohs(address.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&address)->sin_port
                                                               : reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
      Napi::Array pair = Napi::Array::New(napi, 2);
      pair.Set(0U, Napi::String::New(napi, host));
      pair.Set(1U, Napi::Number::New(napi, port));
      return pair;
    }
  }
  if (address.ss_family == AF_UNIX) {
    const std::span<const char> path = PathOf(reinterpret_cast<const UnixAddress&>(address), bytes.size());
    return Bytes(env, path.data(), path.size());
  }
  napi_get_null(env, &result);
  return result;
}

}  // namespace

void RegisterAddress(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "resolve", Resolve);
  Export(env, exports, "encodeUnix", EncodeUnix);
  Export(env, exports, "decode", Decode);
  // 1 on the BSDs and macOS, where the length comes first and the family has one byte.
  exports.Set("SA_FAMILY_OFFSET", Napi::Number::New(env, static_cast<double>(offsetof(sockaddr, sa_family))));
}

}  // namespace selectors
