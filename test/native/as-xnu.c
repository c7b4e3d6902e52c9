// A preloaded library that makes Linux behave like macOS's kernel (XNU) in the system calls of this addon:
//
//   gcc -shared -fPIC -O1 -o as-xnu.so as-xnu.c && LD_PRELOAD=./as-xnu.so node …
//
// Only the addon's calls change (recognised by their return address); Node's own calls pass through. The differences,
// with their source in xnu-7195 (bsd/kern):
//
//   getsockopt   SO_ACCEPTCONN fails with ENOPROTOOPT (uipc_socket.c, sogetoptlock)
//   send…        MSG_DONTWAIT is ignored: only O_NONBLOCK counts (uipc_socket.c, sosendcheck)
//   recvmsg      every descriptor of a message is opened; the control message is truncated at msg_controllen, and
//                cmsg_len keeps the sent length (uipc_syscalls.c, copyout_control; uipc_usrreq.c, unp_externalize);
//                there is no MSG_CMSG_CLOEXEC
//   io_uring     fails with ENOSYS
//
// AS_XNU_SEND=NAME:N[:TIMES] makes every N-th send fail with ENOBUFS or EPROTOTYPE, at most TIMES times.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// The C library's function, which the one of this name here replaces.
#define REAL(name) ((__typeof__(name)*)real(#name))
#define IS_OF_ADDON is_of_addon(__builtin_return_address(0))

static void* real(const char* name) { return dlsym(RTLD_NEXT, name); }

static int is_of_addon(const void* caller) {
  Dl_info info;
  return dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, "selectors_native") != NULL;
}

static int inject_failure(void) {
  static atomic_long sends, failures;
  const char* wanted = getenv("AS_XNU_SEND");
  if (wanted == NULL) return 0;
  const int number = strncmp(wanted, "ENOBUFS", strlen("ENOBUFS")) == 0 ? ENOBUFS : EPROTOTYPE;
  const char* every = strchr(wanted, ':');
  const char* times = every == NULL ? NULL : strchr(every + 1, ':');
  const long step = every == NULL ? 1 : atol(every + 1);
  if (++sends % step != 0 || (times != NULL && ++failures > atol(times + 1))) return 0;
  errno = number;
  return 1;
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  if (IS_OF_ADDON && level == SOL_SOCKET && name == SO_ACCEPTCONN) {
    errno = ENOPROTOOPT;
    return -1;
  }
  return REAL(getsockopt)(fd, level, name, value, size);
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  const int is_ours = IS_OF_ADDON;
  if (is_ours && inject_failure()) return -1;
  return REAL(send)(fd, bytes, size, is_ours ? flags & ~MSG_DONTWAIT : flags);
}

ssize_t sendto(int fd, const void* bytes, size_t size, int flags, const struct sockaddr* to, socklen_t length) {
  const int is_ours = IS_OF_ADDON;
  if (is_ours && inject_failure()) return -1;
  return REAL(sendto)(fd, bytes, size, is_ours ? flags & ~MSG_DONTWAIT : flags, to, length);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  const int is_ours = IS_OF_ADDON;
  if (is_ours && message->msg_control == NULL && inject_failure()) return -1;
  return REAL(sendmsg)(fd, message, is_ours ? flags & ~MSG_DONTWAIT : flags);
}

ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  if (!IS_OF_ADDON || message->msg_control == NULL) return REAL(recvmsg)(fd, message, flags);
  _Alignas(struct cmsghdr) char control[8192];
  struct msghdr whole = *message;
  whole.msg_control = control;
  whole.msg_controllen = sizeof control;
  const ssize_t size = REAL(recvmsg)(fd, &whole, flags & ~MSG_CMSG_CLOEXEC);
  if (size < 0) return size;
  const size_t capacity = message->msg_controllen;
  const size_t copied = whole.msg_controllen < capacity ? whole.msg_controllen : capacity;
  memcpy(message->msg_control, control, copied);
  message->msg_flags = whole.msg_flags | (whole.msg_controllen > capacity ? MSG_CTRUNC : 0);
  message->msg_controllen = copied;
  message->msg_namelen = whole.msg_namelen;
  return size;
}

long syscall(long number, ...) {
  if (number == SYS_io_uring_setup && IS_OF_ADDON) {
    errno = ENOSYS;
    return -1;
  }
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(arguments, long);
  va_end(arguments);
  return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
