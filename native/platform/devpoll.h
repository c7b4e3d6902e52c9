// The numbers and the structure of /dev/poll (sys/devpoll.h), for native/mechanisms/devpoll.cc and, in C, for
// test/native/as-devpoll.c. Repeated here, as far as they are used and with illumos' names and values, for a system
// that has no such header: there the mechanism is only compiled for tests, which load a stand-in for the device.
#pragma once

#include <poll.h>
#include <signal.h>

#if __has_include(<sys/devpoll.h>)
#include <sys/devpoll.h>
#define SELECTORS_DEVPOLL_IS_OF_SYSTEM 1
#else
#define SELECTORS_DEVPOLL_IS_OF_SYSTEM 0
// NOLINTBEGIN(readability-identifier-naming,modernize-use-using): the system's names; also compiled as C
#define DP_POLL ((0xD0 << 8) | 1)
#define DP_ISPOLLED ((0xD0 << 8) | 2)
struct dvpoll {
  struct pollfd* dp_fds;
  nfds_t dp_nfds;
  int dp_timeout;
  sigset_t* dp_setp;
};
// NOLINTEND(readability-identifier-naming,modernize-use-using)
// The C library of Linux has the name, with another value, which no call of Linux uses.
#ifndef POLLREMOVE
#define POLLREMOVE 0x0800
#endif
#endif

#ifdef __cplusplus
namespace selectors {
// False: the device is a stand-in, see above.
inline constexpr bool kDevpollIsOfSystem = SELECTORS_DEVPOLL_IS_OF_SYSTEM != 0;
}  // namespace selectors
#endif
