// Measures the cost of one poll of a multiplexer. Usage: turns MECHANISM COUNT SECONDS FIRST [second-thread]
//
// The descriptors FIRST … FIRST + COUNT - 1 are inherited (with-eventfds.c). They are registered once and then polled
// repeatedly with timeout 0; each ready descriptor is read from the result, as a program would. Prints
// {"turns": …, "ns": CPU time per turn, "ready": … per turn}.
//
// second-thread: while a process has one thread, the kernel looks up a descriptor without counting a reference (fdget
// in fs/file.c). Node always has several threads, so for poll(2) and select(2), which look up every descriptor, the C
// program that Node is compared with has two.
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "common.h"

enum { MAX_EVENTS = 1024, TURNS_PER_CLOCK_READ = 8 };

static long sum;  // of the ready descriptors, so that reading them is not optimised away

static int turn_epoll(int first, int count) {
  static int epoll = -1;
  static struct epoll_event events[MAX_EVENTS];
  if (epoll < 0) {
    epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (int fd = first; fd < first + count; ++fd) {
      struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
      check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
  }
  const int ready = check(epoll_wait(epoll, events, MAX_EVENTS, 0), "epoll_wait");
  for (int i = 0; i < ready; ++i) sum += events[i].data.fd;
  return ready;
}

static int turn_poll(int first, int count) {
  static struct pollfd* fds;
  if (fds == NULL) {
    fds = checked_alloc(calloc((size_t)count, sizeof *fds));
    for (int i = 0; i < count; ++i) fds[i] = (struct pollfd){.fd = first + i, .events = POLLIN};
  }
  const int ready = check(poll(fds, (nfds_t)count, 0), "poll");
  for (int i = 0, left = ready; left > 0; ++i) {
    if (fds[i].revents == 0) continue;
    sum += fds[i].fd;
    --left;
  }
  return ready;
}

static int turn_select(int first, int count) {
  static fd_set interest;
  static bool is_set;
  if (!is_set) {
    for (int fd = first; fd < first + count; ++fd) FD_SET(fd, &interest);
    is_set = true;
  }
  fd_set read = interest;
  struct timeval none = {0};
  const int ready = check(select(first + count, &read, NULL, NULL, &none), "select");
  for (int fd = first, left = ready; left > 0; ++fd) {
    if (!FD_ISSET(fd, &read)) continue;
    sum += fd;
    --left;
  }
  return ready;
}

static void* sleep_forever(void* nothing) {
  for (;;) pause();
  return nothing;
}

struct measured {
  long turns, ready;
  uint64_t cpu;
};

static struct measured measure(int (*turn)(int first, int count), int first, int count, double seconds) {
  struct measured measured = {0};
  const uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
  const uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  do {
    for (int i = 0; i < TURNS_PER_CLOCK_READ; ++i) measured.ready += turn(first, count);
    measured.turns += TURNS_PER_CLOCK_READ;
  } while (clock_ns(CLOCK_MONOTONIC) < end);
  measured.cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  return measured;
}

int main(int count, char** arguments) {
  const char* mechanism = count >= 5 ? arguments[1] : "";
  int (*const turn)(int, int) = strcmp(mechanism, "epoll") == 0    ? turn_epoll
                                : strcmp(mechanism, "poll") == 0   ? turn_poll
                                : strcmp(mechanism, "select") == 0 ? turn_select
                                                                   : NULL;
  if (turn == NULL) {
    fprintf(stderr, "usage: turns epoll|poll|select COUNT SECONDS FIRST [second-thread]\n");
    return 2;
  }
  const int descriptors = atoi(arguments[2]), first = atoi(arguments[4]);
  if (turn == turn_select && first + descriptors > FD_SETSIZE) {
    fprintf(stderr, "an fd_set holds descriptors below %d\n", FD_SETSIZE);
    return 2;
  }
  pthread_t thread;
  if (count > 5) check(-pthread_create(&thread, NULL, sleep_forever, NULL), "pthread_create");
  measure(turn, first, descriptors, 0.1);
  const struct measured measured = measure(turn, first, descriptors, atof(arguments[3]));
  printf("{\"turns\": %ld, \"ns\": %.1f, \"ready\": %.2f}\n", measured.turns,
         (double)measured.cpu / (double)measured.turns, (double)measured.ready / (double)measured.turns);
  return sum == 42 ? 1 : 0;
}
