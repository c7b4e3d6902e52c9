// The printers of system_calls.h that only POSIX systems use.
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "platform/system_calls.h"

namespace selectors::print {
namespace {

#define NAME(constant) \
  { constant, #constant }

constexpr Name kFileCommands[] = {NAME(F_DUPFD), NAME(F_GETFD), NAME(F_SETFD),
                                  NAME(F_GETFL), NAME(F_SETFL), NAME(F_DUPFD_CLOEXEC)};
constexpr Name kAccessModes[] = {NAME(O_RDONLY), NAME(O_WRONLY), NAME(O_RDWR)};
constexpr Name kOpenFlags[] = {NAME(O_CREAT),
                               NAME(O_EXCL),
                               NAME(O_NOCTTY),
                               NAME(O_TRUNC),
                               NAME(O_APPEND),
                               NAME(O_NONBLOCK),
#ifdef __linux__
                               // The kernel's value: the C library defines 0 on 64-bit systems.
                               {0100000, "O_LARGEFILE"},
#endif
#ifdef O_DIRECTORY  // not before Solaris 11.4
                               NAME(O_DIRECTORY),
#endif
                               NAME(O_NOFOLLOW),
                               NAME(O_CLOEXEC)};
constexpr Name kDescriptorFlags[] = {NAME(FD_CLOEXEC)};
constexpr Name kLocks[] = {NAME(LOCK_SH), NAME(LOCK_EX), NAME(LOCK_NB), NAME(LOCK_UN)};
constexpr Name kProtections[] = {NAME(PROT_READ), NAME(PROT_WRITE), NAME(PROT_EXEC)};
constexpr Name kMapFlags[] = {
    NAME(MAP_SHARED),
    NAME(MAP_PRIVATE),
    NAME(MAP_FIXED),
    // strace's name for MAP_ANON.
    {MAP_ANON, "MAP_ANONYMOUS"},
#ifdef MAP_POPULATE
    NAME(MAP_POPULATE),
#endif
};
constexpr Name kAdvices[] = {NAME(MADV_DONTNEED)};
constexpr Name kSignals[] = {
    NAME(SIGHUP),  NAME(SIGINT),    NAME(SIGQUIT), NAME(SIGILL),   NAME(SIGTRAP), NAME(SIGABRT), NAME(SIGBUS),
    NAME(SIGFPE),  NAME(SIGUSR1),   NAME(SIGSEGV), NAME(SIGUSR2),  NAME(SIGPIPE), NAME(SIGALRM), NAME(SIGTERM),
    NAME(SIGCHLD), NAME(SIGCONT),   NAME(SIGTSTP), NAME(SIGTTIN),  NAME(SIGTTOU), NAME(SIGURG),  NAME(SIGXCPU),
    NAME(SIGXFSZ), NAME(SIGVTALRM), NAME(SIGPROF), NAME(SIGWINCH), NAME(SIGIO),   NAME(SIGSYS)};
constexpr Name kMaskHows[] = {NAME(SIG_BLOCK), NAME(SIG_UNBLOCK), NAME(SIG_SETMASK)};

#undef NAME

void AppendVector(std::string& out, const iovec* parts, size_t count, size_t bytes) {
  AppendArray(out, std::span(parts, count), [&out, &bytes](const iovec& part) {
    const size_t shown = std::min(bytes, part.iov_len);
    bytes -= shown;
    out += "{iov_base=";
    AppendBytes(out, part.iov_base, shown);
    out.append(", iov_len=").append(std::to_string(part.iov_len)).append("}");
  });
}

void AppendControl(std::string& out, const msghdr& message) {
  out += '[';
  const char* separator = "";
  for (const cmsghdr* header = NextControl(message, nullptr); header != nullptr;
       header = NextControl(message, header)) {
    out.append(separator).append("{cmsg_len=").append(std::to_string(header->cmsg_len)).append(", cmsg_level=");
    AppendOptionLevel(out, header->cmsg_level);
    const bool has_descriptors = header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
    out += has_descriptors ? ", cmsg_type=SCM_RIGHTS, cmsg_data=[" : "";
    const size_t count = has_descriptors ? ControlData(message, *header).size() / sizeof(int) : 0;
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      out.append(i > 0 ? ", " : "").append(std::to_string(fd));
    }
    out += has_descriptors ? "]}" : "}";
    separator = ", ";
  }
  out += ']';
}

void AppendMessage(std::string& out, const msghdr& message, size_t bytes) {
  out += "{msg_name=";
  AppendSocketAddress(out, message.msg_name, message.msg_namelen);
  out.append(", msg_namelen=").append(std::to_string(message.msg_namelen)).append(", msg_iov=");
  AppendVector(out, message.msg_iov, static_cast<size_t>(message.msg_iovlen), bytes);
  out.append(", msg_iovlen=").append(std::to_string(message.msg_iovlen));
  if (message.msg_controllen > 0) {
    out += ", msg_control=";
    AppendControl(out, message);
  }
  out.append(", msg_controllen=").append(std::to_string(message.msg_controllen)).append(", msg_flags=");
  AppendMessageFlags(out, static_cast<uint64_t>(message.msg_flags));
  out += '}';
}

void AppendOpenFlags(std::string& out, uint64_t flags) {
  AppendName(out, kAccessModes, static_cast<int64_t>(flags & O_ACCMODE));
  if ((flags & ~uint64_t{O_ACCMODE}) == 0) return;
  out += '|';
  AppendFlags(out, kOpenFlags, flags & ~uint64_t{O_ACCMODE});
}

}  // namespace

void SleepTime(std::string& out, const CallInfo& call, size_t index) {
  const auto* const time = call.As<const timespec*>(index);
#ifdef __GLIBC__
  out += "CLOCK_REALTIME, 0, ";
#endif
  out.append("{tv_sec=").append(std::to_string(time->tv_sec)).append(", tv_nsec=");
  out.append(std::to_string(time->tv_nsec)).append("}");
}

void FileCommand(std::string& out, const CallInfo& call, size_t index) {
  AppendName(out, kFileCommands, call.As<int>(index), "F_???");
}

void FileCommandArgument(std::string& out, const CallInfo& call, size_t index) {
  switch (call.As<int>(1)) {
    case F_SETFL:
      return AppendOpenFlags(out, call.As<uint32_t>(index));
    case F_SETFD:
      return AppendFlags(out, kDescriptorFlags, call.As<uint32_t>(index));
    case F_DUPFD_CLOEXEC:
      return AppendDecimal(out, call.As<int>(index));
    default:
      return;  // this command has no argument
  }
}

void FileCommandResult(std::string& out, const CallInfo& call, size_t) {
  const auto flags = static_cast<uint64_t>(call.result);
  if (call.As<int>(1) == F_GETFD && flags != 0) {
    out += "flags ";
    AppendFlags(out, kDescriptorFlags, flags);
  } else if (call.As<int>(1) == F_GETFL) {
    out += "flags ";
    AppendOpenFlags(out, flags);
  }
}

void DescriptorPair(std::string& out, const CallInfo& call, size_t index) {
  if (!call.ok) return Pointer(out, call, index);
  const int* const pair = call.As<const int*>(index);
  out.append("[").append(std::to_string(pair[0])).append(", ").append(std::to_string(pair[1])).append("]");
}

void SentMessage(std::string& out, const CallInfo& call, size_t index) {
  AppendMessage(out, *call.As<const msghdr*>(index), SIZE_MAX);
}

void ReceivedMessage(std::string& out, const CallInfo& call, size_t index) {
  if (call.ok) {
    AppendMessage(out, *call.As<const msghdr*>(index), static_cast<size_t>(call.result));
  } else {
    Pointer(out, call, index);
  }
}

void OpenedPath(std::string& out, const CallInfo& call, size_t index) {
#ifdef __GLIBC__
  out += "AT_FDCWD, ";
#endif
  Path(out, call, index);
}

void OpenFlags(std::string& out, const CallInfo& call, size_t index) { AppendOpenFlags(out, call.As<uint32_t>(index)); }

void LockOperation(std::string& out, const CallInfo& call, size_t index) {
  AppendFlags(out, kLocks, call.As<uint32_t>(index), "LOCK_???");
}

void Protection(std::string& out, const CallInfo& call, size_t index) {
  if (call.arguments[index] == 0) {
    out += "PROT_NONE";
  } else {
    AppendFlags(out, kProtections, call.As<uint32_t>(index));
  }
}

void Advice(std::string& out, const CallInfo& call, size_t index) {
  AppendName(out, kAdvices, call.As<int>(index), "MADV_???");
}

void MapFlags(std::string& out, const CallInfo& call, size_t index) {
  AppendFlags(out, kMapFlags, call.As<uint32_t>(index));
}

void SignalName(std::string& out, const CallInfo& call, size_t index) {
  AppendName(out, kSignals, call.As<int>(index));
}

void MaskHow(std::string& out, const CallInfo& call, size_t index) { AppendName(out, kMaskHows, call.As<int>(index)); }

#ifdef SOCK_CLOEXEC
void AcceptFlags(std::string& out, const CallInfo& call, size_t index) {
  constexpr Name kFlags[] = {{SOCK_CLOEXEC, "SOCK_CLOEXEC"}, {SOCK_NONBLOCK, "SOCK_NONBLOCK"}};
  AppendFlags(out, kFlags, call.As<uint32_t>(index));
}
#endif

#ifdef __linux__
void KernelMaskSize(std::string& out, const CallInfo&, size_t) { out += std::to_string(_NSIG / 8); }

void EventFlags(std::string& out, const CallInfo& call, size_t index) {
  constexpr Name kFlags[] = {{EFD_CLOEXEC, "EFD_CLOEXEC"}, {EFD_NONBLOCK, "EFD_NONBLOCK"}};
  AppendFlags(out, kFlags, call.As<uint32_t>(index));
}
#endif

}  // namespace selectors::print
