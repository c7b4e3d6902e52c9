// Runs a command that inherits eventfds. Usage: with-eventfds COUNT ACTIVE FIRST COMMAND ...
//
// The descriptors FIRST … FIRST + COUNT - 1 are eventfd(2)s. ACTIVE of them, spread evenly, are readable, and stay so
// because no program reads them. So programs in any language wait for the same descriptors. Exit code 3: RLIMIT_NOFILE
// is too low.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "common.h"

// Descriptors that the command itself needs.
enum { OWN_DESCRIPTORS = 64 };

static void raise_limit(long needed) {
  struct rlimit limit;
  check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  if (limit.rlim_max < (rlim_t)needed) {
    fprintf(stderr, "RLIMIT_NOFILE is %llu; %ld descriptors are needed\n", (unsigned long long)limit.rlim_max, needed);
    exit(3);
  }
  limit.rlim_cur = limit.rlim_max;
  check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

int main(int count, char** arguments) {
  if (count < 5) {
    fprintf(stderr, "usage: with-eventfds COUNT ACTIVE FIRST COMMAND ...\n");
    return 2;
  }
  const long descriptors = atol(arguments[1]), active = atol(arguments[2]), first = atol(arguments[3]);
  raise_limit(first + descriptors + OWN_DESCRIPTORS);
  for (long i = 0; i < descriptors; ++i) {
    // Spreads the readable ones evenly: i * active / descriptors grows by one at each of them.
    const bool is_active = (i + 1) * active / descriptors > i * active / descriptors;
    const int fd = check(eventfd(is_active, EFD_NONBLOCK), "eventfd");
    if (fd == (int)(first + i)) continue;
    check(dup2(fd, (int)(first + i)), "dup2");
    close(fd);
  }
  execvp(arguments[4], &arguments[4]);
  die(arguments[4]);
}
