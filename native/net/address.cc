// Between sockaddr and what people write.
#include <algorithm>
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

// resolve(host, port, family): the sockaddr of an IP address or of a host's name; for a name this asks the system's
// resolver, and BLOCKS until it answers. A failure is getaddrinfo's own number (EAI_*), as a number.
napi_value Resolve(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::string host = args.StringAt(0);
  const size_t port = args.SizeAt(1, 65535);
  addrinfo hints{};
  hints.ai_family = args.IntAt(2);
  hints.ai_socktype = SOCK_STREAM;  // one answer an address, not one for each type
  if (!args.ok()) return nullptr;

  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) return ToJavaScript(env, Result::Ok(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  sockaddr_storage address{};
  const size_t length = std::min(static_cast<size_t>(found->ai_addrlen), sizeof address);
  std::memcpy(&address, found->ai_addr, length);
  const auto network_port = htons(static_cast<uint16_t>(port));
  if (address.ss_family == AF_INET) reinterpret_cast<sockaddr_in*>(&address)->sin_port = network_port;
  if (address.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = network_port;
  return Bytes(env, &address, length);
}

// encodeUnix(path): its sockaddr_un, or -ENAMETOOLONG. A path that begins with NUL is a name in Linux's abstract
// namespace; there the length ends it, elsewhere a NUL does.
napi_value EncodeUnix(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::string path = args.StringAt(0);
  if (!args.ok()) return nullptr;
  UnixAddress address{};
  const bool is_abstract = !path.empty() && path[0] == '\0';
  const size_t used = path.size() + (is_abstract || path.empty() ? 0 : 1);
  if (used > sizeof address.sun_path) return ToJavaScript(env, Result::Error(kNameTooLong));
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return Bytes(env, &address, offsetof(UnixAddress, sun_path) + used);
}

// decode(sockaddr): [host, port], [path], or null for a family that has neither.
napi_value Decode(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const std::span<uint8_t> bytes = args.BytesAt(0);
  if (!args.ok()) return nullptr;
  sockaddr_storage address{};
  napi_value result = nullptr;
  if (bytes.size() < sizeof address.ss_family) {
    // An address that nobody has set: an unbound Unix peer answers with no bytes at all on some systems.
    napi_get_null(env, &result);
    return result;
  }
  std::memcpy(&address, bytes.data(), std::min(bytes.size(), sizeof address));
  Napi::Env napi(env);
  if (address.ss_family == AF_INET || address.ss_family == AF_INET6) {
    // With the scope of a link-local address: fe80::1%eth0.
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
    const auto* path = reinterpret_cast<UnixAddress*>(&address)->sun_path;
    const size_t offset = offsetof(UnixAddress, sun_path);
    size_t length = bytes.size() > offset ? std::min(bytes.size() - offset, sizeof(UnixAddress::sun_path)) : 0;
    const bool is_abstract = length > 1 && path[0] == '\0' && path[1] != '\0';
    if (!is_abstract) length = static_cast<size_t>(std::find(path, path + length, '\0') - path);
    Napi::Array single = Napi::Array::New(napi, 1);
    single.Set(0U, Napi::String::New(napi, path, length));
    return single;
  }
  napi_get_null(env, &result);
  return result;
}

}  // namespace

void RegisterAddress(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "resolve", Resolve);
  Export(env, exports, "encodeUnix", EncodeUnix);
  Export(env, exports, "decode", Decode);
  // getaddrinfo's errors, by number: EAI_NONAME is Node's ENOTFOUND.
  Napi::Object names = Napi::Object::New(env);
  const auto name = [&](int number, const char* text) { names.Set(std::to_string(number), text); };
  name(EAI_AGAIN, "EAI_AGAIN");
  name(EAI_BADFLAGS, "EAI_BADFLAGS");
  name(EAI_FAIL, "EAI_FAIL");
  name(EAI_FAMILY, "EAI_FAMILY");
  name(EAI_MEMORY, "EAI_MEMORY");
  name(EAI_NODATA, "ENOTFOUND");
  name(EAI_NONAME, "ENOTFOUND");
  exports.Set("resolveErrors", names);
}

}  // namespace selectors
