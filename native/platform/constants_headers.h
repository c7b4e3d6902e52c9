// The system headers that define the numbers in `constants` (net/constants.cc): AF_*, SOCK_*, IPPROTO_*, MSG_*, SOL_*,
// SO_*, TCP_*, IP_*, IPV6_*.
#pragma once

#ifdef _WIN32
// Each depends on those before it.
// clang-format off
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <mstcpip.h>
// clang-format on
#if __has_include(<afunix.h>)
#include <afunix.h>
#endif
#else
// On the BSDs each depends on those before it.
// clang-format off
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#if __has_include(<netinet/in_systm.h>)
#include <netinet/in_systm.h>
#endif
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
// clang-format on
#endif

#ifdef __linux__
#if __has_include(<linux/can.h>)
#include <linux/can.h>
#include <linux/can/raw.h>
#endif
#if __has_include(<linux/can/j1939.h>)
// Linux 5.4. Its options are enumerators; the macros let constants.inc check them by #ifdef, like all others.
#include <linux/can/j1939.h>
#define SO_J1939_FILTER SO_J1939_FILTER
#define SO_J1939_PROMISC SO_J1939_PROMISC
#define SO_J1939_SEND_PRIO SO_J1939_SEND_PRIO
#define SO_J1939_ERRQUEUE SO_J1939_ERRQUEUE
#endif
#if __has_include(<linux/errqueue.h>)
// It depends on the first two.
// clang-format off
#include <linux/types.h>
#include <time.h>
#include <linux/errqueue.h>
// clang-format on
#endif
#if __has_include(<linux/netlink.h>)
#include <linux/netlink.h>
#endif
#if __has_include(<linux/vm_sockets.h>)
#include <linux/vm_sockets.h>
#endif
#endif
