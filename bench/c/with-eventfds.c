// Runs a program that inherits eventfds: with-eventfds COUNT ACTIVE FIRST COMMAND ...
//
// The descriptors FIRST … FIRST + COUNT - 1 are eventfd(2)s, of which ACTIVE, spread evenly, can be read, and stay so,
// since nobody reads them. So programs in any language wait for the very same things. Exit code 3: there are not as
// many descriptors.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "common.h"

// Of the program itself, above ours.
enum { OTHERS = 64 };

static void raise_limit(long needed) {
  struct rlimit limit;
  check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  if (limit.rlim_max < (rlim_t)needed) {
    fprintf(stderr, "RLIMIT_NOFILE is %llu, and %ld descriptors are needed\n", (unsigned long long)limit.rlim_max,
            needed);
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
  raise_limit(first + descriptors + OTHERS);
  for (long i = 0; i < descriptors; ++i) {
    // Ready where the line from 0 to `active` passes a whole number.
    const bool is_active = (i + 1) * active / descriptors > i * active / descriptors;
    const int fd = check(eventfd(is_active, EFD_NONBLOCK), "eventfd");
    if (fd == (int)(first + i)) continue;
    check(dup2(fd, (int)(first + i)), "dup2");
    close(fd);
  }
  execvp(arguments[4], &arguments[4]);
  die(arguments[4]);
}
