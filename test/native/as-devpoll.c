// as-devpoll: a preloaded library that gives Linux a stand-in for /dev/poll of Solaris and illumos, built on poll(2):
//
//   gcc -shared -fPIC -O1 -I native -o as-devpoll.so as-devpoll.c && LD_PRELOAD=./as-devpoll.so node …
//
// For tests alone. It follows illumos-gate, usr/src/uts/common/io/devpoll.c:
//
//   open         the descriptor is the end of a pipe whose other end is closed: poll(2) reports POLLERR for it (dppoll)
//   write        entries in their order; events are or-ed to those of the set; POLLREMOVE must be the only event; a
//   number
//                that no descriptor can have is ignored; of a closed descriptor the events are kept, and nothing is
//                said; EINVAL for more entries than RLIMIT_NOFILE (dpwrite)
//   DP_POLL      a row per descriptor, in the order of their numbers; a scan that ends because the room is used up is
//                continued by the next call (dp_pcache_poll, pc_mapstart); EINVAL for as many rows as RLIMIT_NOFILE
//                or more (poll(4D)); a write of another thread ends the sleep (dpwrite, cv_broadcast)
//   DP_ISPOLLED  the events of a descriptor
//   all          EACCES for another process than the first that used the set (pc_pid)
//
// AS_DEVPOLL=silent    closed descriptors are not reported, as the kernel does with those that were quiet; default:
// POLLNVAL AS_DEVPOLL=forgets   POLLREMOVE is ignored, as if the program had not written it: tests must find it
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "platform/devpoll.h"

// The C library's function, which the one of this name here replaces.
#define REAL(name) ((__typeof__(name)*)dlsym(RTLD_NEXT, #name))

enum { MAX_SETS = 1 << 16 };

struct entry {
  int has_file;  // pd_fp: the descriptor was open when it was added
  short events;  // pd_events
};

struct set {
  int users;      // calls under way, and the descriptor itself
  pid_t process;  // pc_pid; -1: not used yet
  int wake;       // an eventfd: a descriptor was added
  int next;       // pc_mapstart
  int size;       // of entries, which are by descriptor
  struct entry* entries;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct set* _Atomic sets[MAX_SETS];  // by the descriptor of the device

static int has_mode(const char* mode) {
  const char* wanted = getenv("AS_DEVPOLL");
  return wanted != NULL && strcmp(wanted, mode) == 0;
}

static int fail(int error) {
  errno = error;
  return -1;
}

static int descriptor_limit(void) {
  struct rlimit limit = {0, 0};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int)limit.rlim_cur;
}

static int real_close(int fd) { return REAL(close)(fd); }

static void release(struct set* set) {
  pthread_mutex_lock(&mutex);
  const int is_last = --set->users == 0;
  pthread_mutex_unlock(&mutex);
  if (!is_last) return;
  real_close(set->wake);
  free(set->entries);
  free(set);
}

// The set of a descriptor of the device, to be released; NULL: it is another file.
static struct set* find(int fd) {
  if (fd < 0 || fd >= MAX_SETS || atomic_load(&sets[fd]) == NULL) return NULL;
  pthread_mutex_lock(&mutex);
  struct set* set = atomic_load(&sets[fd]);
  if (set != NULL) ++set->users;
  pthread_mutex_unlock(&mutex);
  return set;
}

// With the mutex held.
static int is_of_other_process(struct set* set) {
  if (set->process == -1) set->process = getpid();
  return set->process != getpid();
}

static int open_set(int flags) {
  int ends[2];
  if (pipe2(ends, flags & O_CLOEXEC) != 0) return -1;
  real_close(ends[0]);
  // The lowest free number, as open(2) gives it; the eventfd is out of the way.
  const int lowest = fcntl(ends[1], flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
  if (lowest >= 0 && lowest < ends[1]) {
    real_close(ends[1]);
    ends[1] = lowest;
  } else if (lowest >= 0) {
    real_close(lowest);
  }
  const int low = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int middle = descriptor_limit() / 2;
  const int wake = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, middle < 10000 ? middle : 10000);
  if (low >= 0) real_close(low);
  struct set* set = calloc(1, sizeof *set);
  if (wake < 0 || set == NULL || ends[1] >= MAX_SETS) {
    if (wake >= 0) real_close(wake);
    free(set);
    real_close(ends[1]);
    return fail(EMFILE);
  }
  *set = (struct set){.users = 1, .process = -1, .wake = wake};
  atomic_store(&sets[ends[1]], set);
  return ends[1];
}

// One entry of a write, with the mutex held. Returns 1 if a wait under way must look again.
static int apply(struct set* set, const struct pollfd* entry) {
  const int fd = entry->fd;
  if (fd < 0 || fd >= descriptor_limit()) return 0;
  if (fd >= set->size) {
    if (entry->events == POLLREMOVE) return 0;
    const int size = fd < 64 ? 128 : 2 * fd;
    set->entries = realloc(set->entries, (size_t)size * sizeof *set->entries);
    memset(set->entries + set->size, 0, (size_t)(size - set->size) * sizeof *set->entries);
    set->size = size;
  }
  struct entry* known = &set->entries[fd];
  if (entry->events == POLLREMOVE) {
    // Of a descriptor that was closed when it was added, the events stay: the kernel takes it for one that is not
    // there.
    if (known->has_file && !has_mode("forgets")) *known = (struct entry){0, 0};
    return 0;
  }
  known->events |= entry->events;
  if (fcntl(fd, F_GETFD) < 0) return 0;
  known->has_file = 1;
  return 1;
}

static ssize_t write_set(struct set* set, const struct pollfd* entries, size_t bytes) {
  const size_t count = bytes / sizeof *entries;
  pthread_mutex_lock(&mutex);
  int error = is_of_other_process(set) ? EACCES : 0;
  if (error == 0 && count > (size_t)descriptor_limit()) error = EINVAL;
  int has_added = 0;
  for (size_t i = 0; error == 0 && i < count; ++i) has_added |= apply(set, &entries[i]);
  pthread_mutex_unlock(&mutex);
  if (error != 0) return fail(error);
  const uint64_t one = 1;
  if (has_added && REAL(write)(set->wake, &one, sizeof one) < 0) return fail(EIO);
  return (ssize_t)bytes;
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// The descriptors of the set, from set->next on and around, and the eventfd behind them. To be freed.
static struct pollfd* watched(struct set* set, nfds_t* count) {
  pthread_mutex_lock(&mutex);
  struct pollfd* all = calloc((size_t)set->size + 1, sizeof *all);
  *count = 0;
  for (int i = 0; all != NULL && i < set->size; ++i) {
    const int fd = (set->next + i) % set->size;
    if (set->entries[fd].has_file) all[(*count)++] = (struct pollfd){fd, set->entries[fd].events, 0};
  }
  if (all != NULL) all[*count] = (struct pollfd){set->wake, POLLIN, 0};
  pthread_mutex_unlock(&mutex);
  return all;
}

// The rows of what poll(2) has found; `next` is where the following scan begins.
static int collect(struct set* set, const struct pollfd* all, nfds_t count, struct dvpoll* request) {
  nfds_t rows = 0;
  for (nfds_t i = 0; i < count; ++i) {
    if (all[i].revents == 0 || (all[i].revents == POLLNVAL && has_mode("silent"))) continue;
    request->dp_fds[rows++] = all[i];
    if (rows < request->dp_nfds) continue;
    if (i + 1 < count) set->next = all[i].fd + 1;
    break;
  }
  return (int)rows;
}

// poll(2), which takes no more than RLIMIT_NOFILE at a time: more of them in parts, until the timeout.
static int poll_all(struct pollfd* all, nfds_t count, int timeout) {
  const nfds_t limit = (nfds_t)descriptor_limit();
  if (count <= limit) return poll(all, count, timeout);
  const double deadline = milliseconds() + timeout;
  for (;;) {
    int found = 0;
    for (nfds_t i = 0; i < count; i += limit) {
      const int part = poll(all + i, count - i < limit ? count - i : limit, 0);
      if (part < 0) return part;
      found += part;
    }
    if (found > 0 || (timeout >= 0 && milliseconds() >= deadline)) return found;
    if (poll(NULL, 0, 1) < 0) return -1;
  }
}

static int wait_set(struct set* set, struct dvpoll* request) {
  pthread_mutex_lock(&mutex);
  const int is_denied = is_of_other_process(set);
  pthread_mutex_unlock(&mutex);
  if (is_denied) return fail(EACCES);
  if (request->dp_nfds >= (nfds_t)descriptor_limit()) return fail(EINVAL);
  const double deadline = request->dp_timeout > 0 ? milliseconds() + request->dp_timeout : 0;
  if (request->dp_nfds == 0) return poll(NULL, 0, request->dp_timeout) < 0 ? -1 : 0;
  for (int timeout = request->dp_timeout;;) {
    nfds_t count = 0;
    struct pollfd* all = watched(set, &count);
    if (all == NULL) return fail(ENOMEM);
    // In silent mode a closed descriptor must not end poll(2) again and again.
    const int is_silent = has_mode("silent");
    for (nfds_t i = 0; is_silent && i < count; ++i)
      if (fcntl(all[i].fd, F_GETFD) < 0) all[i].fd = -1;
    const int found = poll_all(all, count + 1, timeout);
    uint64_t value;
    if (found > 0 && all[count].revents != 0 && read(set->wake, &value, sizeof value) < 0 && errno != EAGAIN) abort();
    const int rows = found < 0 ? -1 : collect(set, all, count, request);
    free(all);
    if (rows != 0) return rows;
    if (timeout == 0) return 0;
    if (timeout > 0) {
      const double left = deadline - milliseconds();
      if (left <= 0) return 0;
      timeout = (int)left + 1;
    }
  }
}

static int find_in_set(struct set* set, struct pollfd* asked) {
  pthread_mutex_lock(&mutex);
  int result = 0;
  if (is_of_other_process(set)) {
    result = fail(EACCES);
  } else if (asked->fd >= 0 && asked->fd < set->size && set->entries[asked->fd].has_file) {
    asked->revents = set->entries[asked->fd].events;
    result = 1;
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

int open(const char* path, int flags, ...) {
  if (strcmp(path, "/dev/poll") == 0) return open_set(flags);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return REAL(open)(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  if (strcmp(path, "/dev/poll") == 0) return open_set(flags);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return REAL(open64)(path, flags, mode);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  struct set* set = find(fd);
  if (set == NULL) return REAL(write)(fd, bytes, size);
  const ssize_t written = write_set(set, bytes, size);
  const int error = errno;
  release(set);
  errno = error;
  return written;
}

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  struct set* set = find(fd);
  if (set == NULL) return REAL(ioctl)(fd, request, argument);
  const int result = request == DP_POLL       ? wait_set(set, argument)
                     : request == DP_ISPOLLED ? find_in_set(set, argument)
                                              : fail(EINVAL);
  const int error = errno;
  release(set);
  errno = error;
  return result;
}

int close(int fd) {
  struct set* set = fd >= 0 && fd < MAX_SETS ? atomic_exchange(&sets[fd], NULL) : NULL;
  const int result = real_close(fd);
  const int error = errno;
  if (set != NULL) release(set);
  errno = error;
  return result;
}
