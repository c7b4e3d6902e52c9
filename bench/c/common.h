// Shared by the C programs of the benchmark: error exits, clocks, and listening on the loopback interface.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void die(const char* what) {
  perror(what);
  exit(1);
}

static inline int check(int result, const char* what) {
  if (result < 0) die(what);
  return result;
}

static inline void* checked_alloc(void* memory) {
  if (memory == NULL) die("malloc");
  return memory;
}

static inline uint64_t clock_ns(clockid_t clock) {
  struct timespec time = {0};
  check(clock_gettime(clock, &time), "clock_gettime");
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static inline void set_no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// A listening socket on a port of 127.0.0.1; 0: any free one. Several sockets may share the port if each is shared.
static inline int listen_on_port(uint16_t port, int is_shared, int flags) {
  const int listener = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket");
  check(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &is_shared, sizeof is_shared), "setsockopt");
  struct sockaddr_in address = loopback(port);
  check(bind(listener, (struct sockaddr*)&address, sizeof address), "bind");
  check(listen(listener, 4096), "listen");
  return listener;
}

static inline int listen_on_loopback(int flags) { return listen_on_port(0, 0, flags); }

static inline uint16_t port_of(int listener) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  check(getsockname(listener, (struct sockaddr*)&address, &length), "getsockname");
  return ntohs(address.sin_port);
}

// Prints the first line of output of every server of the benchmark.
static inline void print_listening(int listener) {
  printf("listening on 127.0.0.1:%d\n", port_of(listener));
  fflush(stdout);
}
