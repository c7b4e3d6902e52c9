// The textbook's echo servers (posts 000, 002, 003; Stevens, UNIX Network Programming, chapter 30): blocking calls in
// processes and threads. The yardstick beside the JavaScript models: here a thread has no JavaScript engine.
//
//   textbook MODEL [--workers N] [--port P] [--accept STRATEGY]
//
// Prints `listening on 127.0.0.1:PORT` when all workers are ready. Exits with 0 on SIGTERM, on SIGINT, and when its
// standard input is a pipe or a socket whose other side is closed; with 1 if a system call fails; with 2 for an invalid
// option. Its children end with it, also if it is killed; a child that dies is not replaced. A message costs two calls,
// recv and send; a worker without a connection sleeps in one call. Not for Windows, which has no fork.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#include <sys/prctl.h>
#define ON_LINUX(function) function
#else
#define ON_LINUX(function) NULL
#endif

enum { kMaxLine = 4096, kMaxWorkers = 4096, kQueueCapacity = 1024 };

static long workers = 8;
static uint16_t port = 0;
static int listener = -1, lock_file = -1;
static void accept_blocking(void), (*accept_strategy)(void) = accept_blocking;
static int ready_pipe[2];  // a worker writes a byte when it is ready
static int life_pipe[2];   // only the parent has the write end: end of file means that the parent has exited

static void report(const char* call) { fprintf(stderr, "textbook: %s: %s\n", call, strerror(errno)); }

// Returns the result of a system call. Exits if it failed.
static int must(const char* call, int result) {
  if (result >= 0) return result;
  report(call);
  _exit(1);
}

static void pause_briefly(void) { nanosleep(&(const struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL); }

static int open_socket(bool shares_port) {
  const int fd = must("socket", socket(AF_INET, SOCK_STREAM, 0)), on = 1;
  must("setsockopt SO_REUSEADDR", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  must("setsockopt TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));  // connections inherit it
  if (shares_port) must("setsockopt SO_REUSEPORT", setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must("bind", bind(fd, (const struct sockaddr*)&address, sizeof address));
  socklen_t length = sizeof address;
  must("getsockname", getsockname(fd, (struct sockaddr*)&address, &length));
  port = ntohs(address.sin_port);
  return fd;
}

static void print_address(void) {
  printf("listening on 127.0.0.1:%u\n", (unsigned)port);
  fflush(stdout);
}

// The next connection. -1: the listening socket is non-blocking, and another process was faster.
static int accept_connection(void) {
  for (;;) {
    const int connection = accept(listener, NULL, NULL);
    if (connection >= 0 || errno == EAGAIN) return connection;
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;  // accept(2): errors of the connection
    report("accept");
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) _exit(1);
    pause_briefly();
  }
}

// Echoes until the peer closes or the connection fails.
static void serve(int connection) {
  char line[kMaxLine];
  ssize_t length, sent;
  while ((length = recv(connection, line, sizeof line, 0)) > 0 || (length < 0 && errno == EINTR)) {
    for (const char* rest = line; length > 0; rest += sent, length -= sent) {
      sent = send(connection, rest, (size_t)length, 0);
      if (sent < 0 && errno != EINTR) length = 0;
      if (sent < 0) sent = 0;
    }
  }
  close(connection);
}

static bool start_thread(void* (*run)(void*), int argument) {
  pthread_t thread;
  errno = pthread_create(&thread, NULL, run, (void*)(intptr_t)argument);
  if (errno != 0) report("pthread_create");
  return errno == 0 && pthread_detach(thread) == 0;
}

static void* exit_at_end_of_file(void* fd) {
  char bytes[64];
  while (read((int)(intptr_t)fd, bytes, sizeof bytes) > 0) continue;
  _exit(0);
}

static void exit_on_signal(int number) { _exit(number == SIGCHLD ? 1 : 0); }

static void reap_children(int number) {
  const int before = errno;
  while (number == SIGCHLD && waitpid(-1, NULL, WNOHANG) > 0) continue;
  errno = before;
}

// As fork(2), but the child ends when its parent ends.
static pid_t fork_child(void) {
  const pid_t parent = getpid(), child = fork();
  if (child != 0) return child;
  close(life_pipe[1]);
#ifdef __linux__
  must("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL));
#else
  if (!start_thread(exit_at_end_of_file, life_pipe[0])) _exit(1);
#endif
  if (getppid() != parent) _exit(0);  // it exited before the child was prepared for that
  return 0;
}

static void report_ready(void) { must("write", (int)write(ready_pipe[1], "", 1)); }
static void await_workers(void) {
  for (long count = 0; count < workers; count++) must("read", (int)read(ready_pipe[0], &(char){0}, 1));
}

// Forks the workers, and waits until they are ready. `work` calls report_ready(), and does not return.
static void start_children(void (*work)(void)) {
  signal(SIGCHLD, exit_on_signal);  // a child that cannot start has printed why
  for (long i = 0; i < workers; i++)
    if (must("fork", fork_child()) == 0) work();
  await_workers();
  signal(SIGCHLD, SIG_DFL);
}

static void iterative(void) {
  print_address();
  for (;;) serve(accept_connection());
}

static void fork_per_connection(void) {
  signal(SIGCHLD, reap_children);
  print_address();
  for (;;) {
    const int connection = accept_connection();
    const pid_t child = fork_child();
    if (child == 0) {
      close(listener);
      serve(connection);
      _exit(0);
    }
    if (child < 0) report("fork");
    close(connection);  // the parent's copy: while it is open, the peer sees no end of the connection (post 003)
  }
}

static void* serve_in_thread(void* connection) {
  serve((int)(intptr_t)connection);
  return NULL;
}

static void thread_per_connection(void) {
  print_address();
  for (;;) {
    const int connection = accept_connection();
    if (!start_thread(serve_in_thread, connection)) close(connection);
  }
}

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t not_empty, not_full;
  size_t first, length;
  int connections[kQueueCapacity];
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, {0}};

static void put_connection(int connection) {
  pthread_mutex_lock(&queue.mutex);
  while (queue.length == kQueueCapacity) pthread_cond_wait(&queue.not_full, &queue.mutex);
  queue.connections[(queue.first + queue.length++) % kQueueCapacity] = connection;
  pthread_cond_signal(&queue.not_empty);
  pthread_mutex_unlock(&queue.mutex);
}

static int take_connection(void) {
  pthread_mutex_lock(&queue.mutex);
  while (queue.length == 0) pthread_cond_wait(&queue.not_empty, &queue.mutex);
  const int connection = queue.connections[queue.first];
  queue.first = (queue.first + 1) % kQueueCapacity;
  queue.length--;
  pthread_cond_signal(&queue.not_full);
  pthread_mutex_unlock(&queue.mutex);
  return connection;
}

static void* serve_from_queue(void* unused) {
  report_ready();
  for (;;) serve(take_connection());
  return unused;
}

static void thread_pool(void) {
  for (long i = 0; i < workers; i++)
    if (!start_thread(serve_from_queue, 0)) _exit(1);
  await_workers();
  print_address();
  for (;;) put_connection(accept_connection());
}

static void prefork(void) {
  start_children(accept_strategy);
  print_address();
  while (wait(NULL) > 0 || errno == EINTR) continue;
  must("wait", -1);  // all children have exited
}

static void accept_blocking(void) {
  report_ready();
  for (;;) serve(accept_connection());
}

// A record lock, as Stevens uses it: the kernel releases it if its holder dies.
static void accept_with_lock(void) {
  report_ready();
  for (;;) {
    must("lockf F_LOCK", lockf(lock_file, F_LOCK, 0));
    const int connection = accept_connection();
    must("lockf F_ULOCK", lockf(lock_file, F_ULOCK, 0));
    serve(connection);
  }
}

#ifdef __linux__
static void accept_with_epoll(uint32_t flags) {
  must("fcntl O_NONBLOCK", fcntl(listener, F_SETFL, O_NONBLOCK));
  const int epoll = must("epoll_create1", epoll_create1(0));
  struct epoll_event event = {.events = EPOLLIN | flags};
  must("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
  report_ready();
  for (;;) {
    if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) must("epoll_wait", -1);
    const int connection = accept_connection();
    if (connection >= 0) serve(connection);
  }
}

static void wait_in_epoll(void) { accept_with_epoll(0); }
static void wait_exclusively(void) { accept_with_epoll(1u << 28); }  // EPOLLEXCLUSIVE: in glibc since 2.24

static void accept_on_own_socket(void) {
  listener = open_socket(true);
  must("listen", listen(listener, SOMAXCONN));
  accept_blocking();
}
#endif

// process-pool: a datagram per connection, with its descriptor (SCM_RIGHTS). The kernel wakes one of the waiting
// children.
static int channel[2];
static union {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr header;
} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
static struct iovec data = {&(char){0}, 1};
static struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};

static void send_descriptor(int connection) {
  message.msg_controllen = sizeof control;
  memcpy(CMSG_DATA(&control.header), &connection, sizeof connection);
  while (sendmsg(channel[0], &message, 0) < 0) {
    if (errno != ENOBUFS) must("sendmsg", -1);
    pause_briefly();  // macOS: all children are busy, and the channel is full
  }
}

static int receive_descriptor(void) {
  int connection;
  message.msg_controllen = sizeof control;
  must("recvmsg", (int)recvmsg(channel[1], &message, 0));
  memcpy(&connection, CMSG_DATA(&control.header), sizeof connection);
  return message.msg_controllen > 0 ? connection : -1;  // -1: it has no number left for the descriptor
}

static void serve_passed(void) {
  close(channel[0]);
  report_ready();
  for (;;) serve(receive_descriptor());
}

static void process_pool(void) {
  must("socketpair", socketpair(AF_UNIX, SOCK_DGRAM, 0, channel));
  start_children(serve_passed);
  close(channel[1]);
  print_address();
  for (;;) {
    const int connection = accept_connection();
    send_descriptor(connection);
    close(connection);
  }
}

struct Row {
  const char* name;
  void (*run)(void);  // NULL: not on this system
  const char* summary;
};
static const struct Row kModels[] = {
    {"iterative", iterative, "one connection after the other"},
    {"fork-per-connection", fork_per_connection, "a forked process for each connection"},
    {"thread-per-connection", thread_per_connection, "a thread for each connection"},
    {"thread-pool", thread_pool, "threads that take connections from a queue"},
    {"prefork", prefork, "forked processes that accept: see --accept"},
    {"process-pool", process_pool, "the parent accepts, forked processes get descriptors"},
    {NULL, NULL, NULL}};
static const struct Row kStrategies[] = {
    {"blocking", accept_blocking, "all block in accept"},
    {"lock", accept_with_lock, "the holder of a file lock blocks in accept"},
    {"epoll", ON_LINUX(wait_in_epoll), "all wait in epoll_wait: the thundering herd"},
    {"exclusive", ON_LINUX(wait_exclusively), "all wait in epoll_wait, with EPOLLEXCLUSIVE"},
    {"reuseport", ON_LINUX(accept_on_own_socket), "each has a listening socket, with SO_REUSEPORT"},
    {NULL, NULL, NULL}};

static void print_rows(const struct Row* row) {
  for (; row->name != NULL; row++) printf("  %-22s %s\n", row->name, row->summary);
}

static int print_help(void) {
  printf("Usage: textbook MODEL [--workers N] [--port P] [--accept STRATEGY]\n\nAn echo server on 127.0.0.1. MODEL:\n");
  print_rows(kModels);
  printf("\nSTRATEGY of prefork (default: blocking):\n");
  print_rows(kStrategies);
  printf("\n--workers N: of thread-pool, prefork and process-pool, 1 to %d (default: %ld)\n", kMaxWorkers, workers);
  return printf("--port P: 0 to 65535 (default: 0, a free port)\n") < 0;
}

static _Noreturn void refuse(const char* problem, const char* word) {
  fprintf(stderr, "textbook: %s%s (see textbook --help)\n", problem, word);
  exit(2);
}

static void (*find(const struct Row* row, const char* name))(void) {
  while (row->name != NULL && strcmp(row->name, name) != 0) row++;
  if (row->name == NULL) refuse("unknown name: ", name);
  if (row->run == NULL) refuse("not available here: ", name);
  return row->run;
}

static long number_of(const char* text, long min, long max) {
  char* end;
  const long number = strtol(text, &end, 10);
  if (*text == 0 || *end != 0 || number < min || number > max) refuse("not a number in the allowed range: ", text);
  return number;
}

int main(int count, char** words) {
  if (count > 1 && strcmp(words[1], "--help") == 0) return print_help();
  if (count < 2) refuse("MODEL is missing", "");
  void (*const model)(void) = find(kModels, words[1]);
  const bool has_workers = model == thread_pool || model == prefork || model == process_pool;
  for (int i = 2; i < count; i += 2) {
    const char *option = words[i], *value = words[i + 1];
    const bool is_accept = strcmp(option, "--accept") == 0, is_workers = strcmp(option, "--workers") == 0;
    if (!is_accept && !is_workers && strcmp(option, "--port") != 0) refuse("unknown option: ", option);
    if (is_accept ? model != prefork : is_workers && !has_workers) refuse("not an option of this model: ", option);
    if (value == NULL) refuse("a value is missing after ", option);
    if (is_accept) accept_strategy = find(kStrategies, value);
    if (is_workers) workers = number_of(value, 1, kMaxWorkers);
    if (!is_accept && !is_workers) port = (uint16_t)number_of(value, 0, UINT16_MAX);
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, exit_on_signal);
  signal(SIGINT, exit_on_signal);
  if (pipe(ready_pipe) < 0 || pipe(life_pipe) < 0) must("pipe", -1);
  // With reuseport this socket only reserves the port: it does not listen, so it gets no connections.
  const bool is_reserved = accept_strategy == ON_LINUX(accept_on_own_socket);
  listener = open_socket(is_reserved);
  if (!is_reserved) must("listen", listen(listener, SOMAXCONN));
  if (accept_strategy == accept_with_lock) {
    FILE* file = tmpfile();
    lock_file = must("tmpfile", file == NULL ? -1 : fileno(file));
  }
  struct stat input;
  must("fstat", fstat(STDIN_FILENO, &input));
  if (S_ISFIFO(input.st_mode) || S_ISSOCK(input.st_mode)) start_thread(exit_at_end_of_file, STDIN_FILENO);
  model();
}
