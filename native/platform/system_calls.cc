// The printers of system_calls.h that all systems use.
#include "platform/system_calls.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#ifdef _WIN32
// After winsock2.h.
#include <mswsock.h>
#endif

namespace selectors::print {
namespace {

#define NAME(constant) \
  { constant, #constant }

constexpr Name kFamilies[] = {NAME(AF_UNSPEC), NAME(AF_UNIX), NAME(AF_INET), NAME(AF_INET6)};
constexpr Name kTypes[] = {NAME(SOCK_STREAM), NAME(SOCK_DGRAM), NAME(SOCK_RAW), NAME(SOCK_SEQPACKET)};
#ifdef SOCK_CLOEXEC
constexpr Name kTypeFlags[] = {NAME(SOCK_CLOEXEC), NAME(SOCK_NONBLOCK)};
#else
constexpr std::array<Name, 0> kTypeFlags{};
#endif
constexpr Name kProtocols[] = {
    {0, "IPPROTO_IP"}, NAME(IPPROTO_ICMP), NAME(IPPROTO_TCP), NAME(IPPROTO_UDP), NAME(IPPROTO_IPV6)};
constexpr Name kMessageFlags[] = {
    NAME(MSG_OOB),          NAME(MSG_PEEK), NAME(MSG_DONTROUTE), NAME(MSG_CTRUNC), NAME(MSG_TRUNC),
#ifdef MSG_DONTWAIT
    NAME(MSG_DONTWAIT),
#endif
    NAME(MSG_WAITALL),
#ifdef MSG_NOSIGNAL
    NAME(MSG_NOSIGNAL),
#endif
#ifdef MSG_MORE
    NAME(MSG_MORE),
#endif
#ifdef MSG_CMSG_CLOEXEC
    NAME(MSG_CMSG_CLOEXEC),
#endif
};
#ifdef _WIN32
constexpr Name kHows[] = {NAME(SD_RECEIVE), NAME(SD_SEND), NAME(SD_BOTH)};
// Winsock's names of the levels.
constexpr Name kLevels[] = {
    NAME(SOL_SOCKET), {0, "IPPROTO_IP"}, NAME(IPPROTO_IPV6), NAME(IPPROTO_TCP), NAME(IPPROTO_UDP)};
#else
constexpr Name kHows[] = {NAME(SHUT_RD), NAME(SHUT_WR), NAME(SHUT_RDWR)};
// As strace prints them: the kernel's names.
constexpr Name kLevels[] = {NAME(SOL_SOCKET),
                            {IPPROTO_IP, "SOL_IP"},
                            {IPPROTO_IPV6, "SOL_IPV6"},
                            {IPPROTO_TCP, "SOL_TCP"},
                            {IPPROTO_UDP, "SOL_UDP"}};
#endif
constexpr Name kSocketOptions[] = {
    NAME(SO_REUSEADDR),
    NAME(SO_TYPE),
    NAME(SO_ERROR),
    NAME(SO_DONTROUTE),
    NAME(SO_BROADCAST),
    NAME(SO_SNDBUF),
    NAME(SO_RCVBUF),
    NAME(SO_KEEPALIVE),
    NAME(SO_OOBINLINE),
    NAME(SO_LINGER),
    NAME(SO_RCVLOWAT),
    NAME(SO_SNDLOWAT),
    NAME(SO_RCVTIMEO),
    NAME(SO_SNDTIMEO),
    NAME(SO_ACCEPTCONN),
#ifdef SO_REUSEPORT
    NAME(SO_REUSEPORT),
#endif
#ifdef __linux__
    NAME(SO_PROTOCOL),
    NAME(SO_DOMAIN),
    NAME(SO_PEERNAME),
    NAME(SO_PEERCRED),
    NAME(SO_INCOMING_CPU),
    NAME(SO_BUSY_POLL),
#endif
#ifdef _WIN32
    NAME(SO_EXCLUSIVEADDRUSE),
    NAME(SO_UPDATE_ACCEPT_CONTEXT),
    NAME(SO_UPDATE_CONNECT_CONTEXT),
#endif
};
constexpr Name kTcpOptions[] = {
    NAME(TCP_NODELAY),
// Older Windows headers lack these.
#ifdef TCP_MAXSEG
    NAME(TCP_MAXSEG),
#endif
#ifdef TCP_KEEPINTVL
    NAME(TCP_KEEPINTVL),    NAME(TCP_KEEPCNT),
#endif
#ifdef __linux__
    NAME(TCP_CORK),         NAME(TCP_KEEPIDLE), NAME(TCP_SYNCNT),       NAME(TCP_LINGER2),
    NAME(TCP_DEFER_ACCEPT), NAME(TCP_QUICKACK), NAME(TCP_USER_TIMEOUT), NAME(TCP_FASTOPEN),
#endif
};
constexpr Name kIpv6Options[] = {NAME(IPV6_V6ONLY), NAME(IPV6_UNICAST_HOPS)};
// In this order: on Windows POLLIN is POLLRDNORM|POLLRDBAND, and the first match wins.
constexpr Name kPollEvents[] = {
    NAME(POLLIN),     NAME(POLLPRI),    NAME(POLLOUT),
#ifdef POLLRDNORM
    NAME(POLLRDNORM), NAME(POLLRDBAND),
#endif
    NAME(POLLERR),    NAME(POLLHUP),    NAME(POLLNVAL),
#ifdef POLLRDHUP
    NAME(POLLRDHUP),
#endif
};

#undef NAME

void AppendInet(std::string& out, const sockaddr_in& address) {
  char text[INET_ADDRSTRLEN] = "";
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  out.append("{sa_family=AF_INET, sin_port=htons(").append(std::to_string(ntohs(address.sin_port)));
  out.append("), sin_addr=inet_addr(\"").append(text).append("\")}");
}

void AppendInet6(std::string& out, const sockaddr_in6& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
  out.append("{sa_family=AF_INET6, sin6_port=htons(").append(std::to_string(ntohs(address.sin6_port)));
  out.append("), sin6_flowinfo=htonl(").append(std::to_string(ntohl(address.sin6_flowinfo)));
  out.append("), inet_pton(AF_INET6, \"").append(text).append("\", &sin6_addr), sin6_scope_id=");
  out.append(std::to_string(address.sin6_scope_id)).append("}");
}

void AppendUnix(std::string& out, const char* path, size_t size) {
  out += "{sa_family=AF_UNIX";
  if (size > 0) {
    // A name in Linux's abstract namespace begins with a NUL, which is printed as @.
    const bool is_abstract = path[0] == '\0';
    out += is_abstract ? ", sun_path=@\"" : ", sun_path=\"";
    out.append(is_abstract ? path + 1 : path, is_abstract ? size - 1 : strnlen(path, size)).append("\"");
  }
  out += '}';
}

}  // namespace

// `length` may exceed the buffer: the kernel reports the full length of an address that it has truncated.
void AppendSocketAddress(std::string& out, const void* pointer, size_t length) {
  if (pointer == nullptr) return void(out += "NULL");
  sockaddr_storage address{};
  std::memcpy(&address, pointer, std::min(length, sizeof address));
  if (length < sizeof address.ss_family) return AppendAddress(out, pointer);
  if (address.ss_family == AF_INET) return AppendInet(out, reinterpret_cast<const sockaddr_in&>(address));
  if (address.ss_family == AF_INET6) return AppendInet6(out, reinterpret_cast<const sockaddr_in6&>(address));
  constexpr size_t kPath = offsetof(UnixAddress, sun_path);
  if (address.ss_family == AF_UNIX) {
    return AppendUnix(out, reinterpret_cast<const char*>(&address) + kPath,
                      std::min(length, sizeof(UnixAddress)) - std::min(length, kPath));
  }
  out += "{sa_family=";
  AppendName(out, kFamilies, address.ss_family, "AF_???");
  out += '}';
}

void AppendMessageFlags(std::string& out, uint64_t flags) { AppendFlags(out, kMessageFlags, flags, "MSG_???"); }

void AppendOptionLevel(std::string& out, int level) { AppendName(out, kLevels, level, "SOL_???"); }

// Windows' handles are printed as numbers too: they use 32 bits.
void Descriptor(std::string& out, const CallInfo& call, size_t index) { AppendDecimal(out, call.As<int>(index)); }

void Family(std::string& out, const CallInfo& call, size_t index) {
  AppendName(out, kFamilies, call.As<int>(index), "AF_???");
}

void SocketType(std::string& out, const CallInfo& call, size_t index) {
  auto type = call.As<uint32_t>(index);
  uint32_t flags = 0;
  for (const Name& name : kTypeFlags) flags |= type & static_cast<uint32_t>(name.value);
  type &= ~flags;
  AppendName(out, kTypes, type, "SOCK_???");
  if (flags == 0) return;
  out += '|';
  AppendFlags(out, kTypeFlags, flags);
}

void Protocol(std::string& out, const CallInfo& call, size_t index) {
  const int family = call.As<int>(0);
  if (family == AF_INET || family == AF_INET6) {
    AppendName(out, kProtocols, call.As<int>(index), "IPPROTO_???");
  } else {
    Decimal(out, call, index);
  }
}

void SocketAddress(std::string& out, const CallInfo& call, size_t index) {
  AppendSocketAddress(out, call.As<const void*>(index), call.As<size_t>(index + 1));
}

void SocketAddressOut(std::string& out, const CallInfo& call, size_t index) {
  const auto* const length = call.As<const SocketLength*>(index + 1);
  if (!call.ok || length == nullptr) {
    Pointer(out, call, index);
  } else {
    AppendSocketAddress(out, call.As<const void*>(index), static_cast<size_t>(*length));
  }
}

void SocketLengthInOut(std::string& out, const CallInfo& call, size_t index) {
  const auto* const length = call.As<const SocketLength*>(index);
  if (length == nullptr) return void(out = "NULL");
  const std::string now = std::string("[").append(std::to_string(*length));
  if (!call.has_returned) return void(out = now);
  if (call.ok && out != now) out.append(" => ").append(std::to_string(*length));
  out += ']';
}

void MessageFlags(std::string& out, const CallInfo& call, size_t index) {
  AppendMessageFlags(out, call.As<uint32_t>(index));
}

void ShutdownHow(std::string& out, const CallInfo& call, size_t index) {
  AppendName(out, kHows, call.As<int>(index), "SHUT_???");
}

void OptionLevel(std::string& out, const CallInfo& call, size_t index) { AppendOptionLevel(out, call.As<int>(index)); }

void OptionName(std::string& out, const CallInfo& call, size_t index) {
  const int level = call.As<int>(index - 1);
  const int option = call.As<int>(index);
  if (level == SOL_SOCKET) {
    AppendName(out, kSocketOptions, option, "SO_???");
  } else if (level == IPPROTO_TCP) {
    AppendName(out, kTcpOptions, option, "TCP_???");
  } else if (level == IPPROTO_IPV6) {
    AppendName(out, kIpv6Options, option, "IPV6_???");
  } else {
    AppendHexadecimal(out, static_cast<uint64_t>(option));
  }
}

namespace {

void AppendOption(std::string& out, const CallInfo& call, size_t index, const void* value, size_t size) {
  const bool is_socket = call.As<int>(index - 2) == SOL_SOCKET;
  const int option = call.As<int>(index - 1);
  if (is_socket && option == SO_LINGER && size == sizeof(linger)) {
    linger time{};
    std::memcpy(&time, value, sizeof time);
    out.append("{l_onoff=").append(std::to_string(time.l_onoff)).append(", l_linger=");
    out.append(std::to_string(time.l_linger)).append("}");
  } else if (size == sizeof(int)) {
    int number = 0;
    std::memcpy(&number, value, sizeof number);
    out.append("[").append(std::to_string(number)).append("]");
  } else {
    AppendBytes(out, value, size);
  }
}

}  // namespace

void OptionValue(std::string& out, const CallInfo& call, size_t index) {
  AppendOption(out, call, index, call.As<const void*>(index), call.As<size_t>(index + 1));
}

void OptionValueOut(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return Pointer(out, call, index);
  AppendOption(out, call, index, call.As<const void*>(index),
               static_cast<size_t>(*call.As<const SocketLength*>(index + 1)));
}

namespace {

std::span<const PollFd> PollFdsOf(const CallInfo& call) { return {call.As<const PollFd*>(0), call.As<size_t>(1)}; }

}  // namespace

void PollRequest(std::string& out, const CallInfo& call, size_t) {
  AppendArray(out, PollFdsOf(call), [&out](const PollFd& fd) {
    out.append("{fd=").append(std::to_string(fd.fd));
    if (static_cast<int64_t>(fd.fd) >= 0) {
      out += ", events=";
      AppendFlags(out, kPollEvents, static_cast<uint16_t>(fd.events));
    }
    out += '}';
  });
}

void PollResult(std::string& out, const CallInfo& call, size_t) {
  if (call.result == 0) return void(out += "Timeout");
  const std::span<const PollFd> fds = PollFdsOf(call);
  std::vector<PollFd> found;
  std::copy_if(fds.begin(), fds.end(), std::back_inserter(found), [](const PollFd& fd) { return fd.revents != 0; });
  AppendArray(out, std::span(found), [&out](const PollFd& fd) {
    out.append("{fd=").append(std::to_string(fd.fd)).append(", revents=");
    AppendFlags(out, kPollEvents, static_cast<uint16_t>(fd.revents));
    out += '}';
  });
}

namespace {

#ifdef _WIN32
constexpr bool kSelectUsesCount = false;
#else
constexpr bool kSelectUsesCount = true;
#endif

std::vector<Fd> MembersOf(const fd_set& set, [[maybe_unused]] int count) {
  std::vector<Fd> members;
#ifdef _WIN32
  members.assign(set.fd_array, set.fd_array + set.fd_count);
#else
  for (int fd = 0; fd < std::min<int>(count, FD_SETSIZE); ++fd) {
    if (FD_ISSET(fd, &set)) members.push_back(fd);
  }
#endif
  return members;
}

// count: select's first argument, the number of descriptors to check. Windows ignores it.
void AppendSet(std::string& out, const fd_set* set, int count) {
  if (set == nullptr || (count == 0 && kSelectUsesCount)) return AppendAddress(out, set);
  const std::vector<Fd> members = MembersOf(*set, count);
  AppendArray(
      out, std::span(members), [&out](Fd fd) { out += std::to_string(fd); }, " ");
}

}  // namespace

void DescriptorSet(std::string& out, const CallInfo& call, size_t index) {
  AppendSet(out, call.As<const fd_set*>(index), call.As<int>(0));
}

void DescriptorSetsResult(std::string& out, const CallInfo& call, size_t) {
  if (call.result == 0) return void(out += "Timeout");
  constexpr const char* kNames[] = {"in ", "out ", "except "};
  const char* separator = "";
  for (size_t i = 0; i < 3; ++i) {
    const auto* const set = call.As<const fd_set*>(i + 1);
    std::string members;
    if (set != nullptr) AppendSet(members, set, call.As<int>(0));
    if (members.empty() || members == "[]") continue;
    out.append(separator).append(kNames[i]).append(members);
    separator = ", ";
  }
}

// On Linux the C library converts it to a timespec.
void Timeval(std::string& out, const CallInfo& call, size_t index) {
  const auto* const time = call.As<const timeval*>(index);
  if (time == nullptr) return void(out += "NULL");
#ifdef __linux__
  const std::string fraction = "tv_nsec=" + std::to_string(int64_t{time->tv_usec} * 1000);
#else
  const std::string fraction = "tv_usec=" + std::to_string(time->tv_usec);
#endif
  out.append("{tv_sec=").append(std::to_string(time->tv_sec)).append(", ").append(fraction).append("}");
}

}  // namespace selectors::print
