// The clients of the benchmark: one thread, one epoll. Every received byte is checked.
//
//   load WORKLOAD PORT [-c CONNECTIONS] [-s BYTES] [-p PIPELINED] [-t SECONDS] [-w WARM-UP SECONDS] [-k SERVER PID]...
//
//   echo     each connection has PIPELINED messages of BYTES in flight; the stream is a repeated pattern of 65,521
//            bytes, so that misplaced bytes are detected
//   http     each connection requests GET /NUMBER…, a path of BYTES, and expects it as the body of the reply
//   rpc      the same with numbered requests and numbered responses (src/servers/applications/rpc.ts)
//   chat     the first connection sends a message; it sends the next one when all connections have received it
//            (src/servers/applications/chat.ts)
//   connect  each connection is opened, echoes one message, is closed by both sides, and is opened again
//   idle     each connection echoes one message and stays open while the server's memory is read
//
// Prints one line of JSON: messages (chat: deliveries; connect: connections), bytes and seconds; CPU time of the server
// and of the clients in nanoseconds; round-trip times in microseconds (chat: until a receiver has the message; connect:
// from connect(2) to the end of the stream); the server's resident memory in bytes. Exit code 1, with the reason on
// stderr: a byte was wrong or missing.
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "common.h"

enum {
  MAX_EVENTS = 1024,
  RECEIVE_SIZE = 262144,
  PATTERN = 65521,  // a prime, so that messages and pattern are not aligned
  MAX_SILENCE_MS = 5000,
  MAX_MESSAGE = 1 << 20,
  MAX_SERVERS = 64,
  CONNECTIONS_PER_ADDRESS = 20000,  // an address has 28,000 ports (ip_local_port_range)
};

static struct {
  const char* workload;
  uint16_t port;
  int connections, size, pipelined;
  double seconds, warm_up;
  pid_t servers[MAX_SERVERS];  // processes of the server
  int server_count;
} options = {.connections = 50, .size = 64, .pipelined = 1, .seconds = 1, .warm_up = 0.2};

struct connection {
  int fd;
  bool watches_write;
  uint64_t sent, received;  // positions in the streams, in bytes
  uint64_t to_send;         // the position up to which to send
  uint64_t answered;        // complete responses
  char* reply;              // http: the bytes received of the current reply
  uint64_t* begun;          // start times of the messages in flight, by number modulo `pipelined`
};

static struct connection* connections;
static int epoll;
static uint64_t messages, bytes;  // since the start of the measurement

static _Noreturn void fail(const char* format, long value) {
  fprintf(stderr, format, value);
  fputc('\n', stderr);
  exit(1);
}

// ------------------------------------------------------------------------------------------------------------- times

// A histogram of round-trip times in nanoseconds, with sixteen steps per power of two.
enum { STEPS = 32, POWERS = 64 };
static uint64_t histogram[POWERS * STEPS];

static void count_time(uint64_t ns) {
  const int power = ns < STEPS ? 0 : 63 - __builtin_clzll(ns) - 4;
  ++histogram[power * STEPS + (int)(power == 0 ? ns : (ns >> power) % STEPS)];
}

// In microseconds.
static double quantile(double share) {
  uint64_t all = 0, passed = 0;
  for (int i = 0; i < POWERS * STEPS; ++i) all += histogram[i];
  for (int i = 0; i < POWERS * STEPS; ++i) {
    passed += histogram[i];
    if (passed <= (uint64_t)(share * (double)all)) continue;
    const int power = i / STEPS;
    const uint64_t step = (uint64_t)(i % STEPS);
    return (double)(power == 0 ? step : step << power) / 1000;
  }
  return 0;
}

// ------------------------------------------------------------------------------------------------------- the server

static uint64_t cpu_of_server(void) {
  uint64_t sum = 0;
  for (int i = 0; i < options.server_count; ++i) {
    clockid_t clock;
    if (clock_getcpuclockid(options.servers[i], &clock) != 0)
      fail("the server, process %ld, has ended", options.servers[i]);
    sum += clock_ns(clock);
  }
  return sum;
}

static long memory_of_server(void) {
  long sum = 0;
  for (int i = 0; i < options.server_count; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)options.servers[i]);
    FILE* file = fopen(path, "r");
    long size = 0, resident = 0;
    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2) fail("%ld has no statm(5)", options.servers[i]);
    fclose(file);
    sum += resident * sysconf(_SC_PAGESIZE);
  }
  return sum;
}

// ----------------------------------------------------------------------------------------------------------- messages

static uint8_t pattern[PATTERN + MAX_MESSAGE];
static int request_size, answer_size;

// rpc and chat: messages that contain a number of 16 digits.
static char request_start[128], request_end[64], answer_start[64], answer_end[64];
static char* filler;

static void write_numbered(uint8_t* out, int size, const char* start, const char* end, uint64_t number, bool is_frame) {
  if (is_frame) {
    const uint32_t length = (uint32_t)size - 4;
    memcpy(out, &length, 4);
    out += 4;
    size -= 4;
  }
  const int start_length = (int)strlen(start), end_length = (int)strlen(end), digits = 16;
  memcpy(out, start, (size_t)start_length);
  char text[digits + 1];
  snprintf(text, sizeof text, "%0*llu", digits, (unsigned long long)number);
  memcpy(out + start_length, text, (size_t)digits);
  memcpy(out + start_length + digits, filler, (size_t)(size - start_length - digits - end_length));
  memcpy(out + size - end_length, end, (size_t)end_length);
}

static bool is_http(void) { return strcmp(options.workload, "http") == 0; }
static bool is_echo(void) {
  return !is_http() && strcmp(options.workload, "rpc") != 0 && strcmp(options.workload, "chat") != 0;
}
static bool is_rpc(void) { return strcmp(options.workload, "rpc") == 0; }

// The expected bytes at a position of a stream; *length: how many of them are contiguous.
static const uint8_t* stream_at(uint64_t position, bool is_answer, size_t* length) {
  if (is_echo()) {
    *length = MAX_MESSAGE;
    return pattern + position % PATTERN;
  }
  static uint8_t message[2][MAX_MESSAGE];
  static uint64_t number[2] = {UINT64_MAX, UINT64_MAX};
  const int size = is_answer ? answer_size : request_size;
  const uint64_t wanted = position / (uint64_t)size;
  if (number[is_answer] != wanted) {
    number[is_answer] = wanted;
    write_numbered(message[is_answer], size, is_answer ? answer_start : request_start,
                   is_answer ? answer_end : request_end, wanted, is_rpc());
  }
  const size_t offset = (size_t)(position % (uint64_t)size);
  *length = (size_t)size - offset;
  return message[is_answer] + offset;
}

static void prepare_messages(void) {
  for (uint32_t i = 0; i < sizeof pattern; ++i) pattern[i] = (uint8_t)((i % PATTERN) * 2654435761u >> 24);
  filler = checked_alloc(malloc(MAX_MESSAGE));
  memset(filler, 'x', MAX_MESSAGE);
  request_size = answer_size = options.size;
  if (is_rpc()) {
    strcpy(request_start, "{\"in\":\"ping\",\"params\":\"");
    strcpy(request_end, "\"}");
    strcpy(answer_start, "{\"out\":\"pong\",\"result\":\"");
    strcpy(answer_end, "\"}");
    answer_size = options.size + (int)strlen(answer_start) - (int)strlen(request_start);
  } else if (is_http()) {
    strcpy(request_start, "GET /");
    strcpy(request_end, " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    request_size += (int)strlen("GET ") + (int)strlen(request_end);
    strcpy(answer_start, "/");
  } else if (!is_echo()) {
    strcpy(request_start, "{\"user\":\"ann\",\"text\":\"");
    strcpy(request_end, "\"}\n");
    strcpy(answer_start, "[ann] ");
    strcpy(answer_end, "\n");
    answer_size = options.size - (int)strlen(request_start) - (int)strlen(request_end) + (int)strlen(answer_start) +
                  (int)strlen(answer_end);
  }
  if (!is_echo() && options.size < 64)
    fail("a message of this workload needs at least 64 bytes, not %ld", options.size);
}

// -------------------------------------------------------------------------------------------------------- connections

// Changes the source address within 127.0.0.0/8 before its ports are used up.
static int connect_one(bool is_blocking) {
  static uint64_t opened;
  struct sockaddr_in from = {.sin_family = AF_INET}, to = loopback(options.port);
  const uint32_t host = (uint32_t)(opened++ / CONNECTIONS_PER_ADDRESS % 250 + 2);
  from.sin_addr.s_addr = htonl(127u << 24 | (uint32_t)(getpid() % 250 + 1) << 8 | host);
  const int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (is_blocking ? 0 : SOCK_NONBLOCK), 0), "socket");
  const int on = 1;
  // The port is chosen at connect(2): then the same port can be used once per destination.
  check(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), "setsockopt");
  check(bind(fd, (struct sockaddr*)&from, sizeof from), "bind");
  if (connect(fd, (struct sockaddr*)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
  set_no_delay(fd);
  return fd;
}

static void watch(struct connection* connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  check(epoll_ctl(epoll, operation, connection->fd, &event), "epoll_ctl");
}

static void open_all(void) {
  epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  connections = checked_alloc(calloc((size_t)options.connections, sizeof *connections));
  for (int i = 0; i < options.connections; ++i) {
    struct connection* connection = &connections[i];
    connection->fd = connect_one(true);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    connection->begun = checked_alloc(calloc((size_t)options.pipelined, sizeof *connection->begun));
    watch(connection, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static void send_pending(struct connection* connection) {
  bool is_full = false;
  while (connection->sent < connection->to_send && !is_full) {
    size_t length;
    const uint8_t* next = stream_at(connection->sent, false, &length);
    if (length > connection->to_send - connection->sent) length = (size_t)(connection->to_send - connection->sent);
    const ssize_t sent = send(connection->fd, next, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) die("send");
    if (sent > 0) connection->sent += (uint64_t)sent;
    is_full = sent < 0;
  }
  if (is_full == connection->watches_write) return;
  connection->watches_write = is_full;
  watch(connection, EPOLL_CTL_MOD, is_full ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void begin_message(struct connection* connection, uint64_t now) {
  const uint64_t number = connection->to_send / (uint64_t)request_size;
  connection->begun[number % (uint64_t)options.pipelined] = now;
  connection->to_send += (uint64_t)request_size;
}

// The number of bytes received; -1: none available. Exits if they are not the expected ones.
static ssize_t receive_checked(struct connection* connection) {
  static uint8_t received[RECEIVE_SIZE];
  const ssize_t length = recv(connection->fd, received, sizeof received, 0);
  if (length < 0 && errno == EAGAIN) return -1;
  if (length < 0) die("recv");
  for (ssize_t done = 0; done < length;) {
    size_t piece;
    const uint8_t* expected = stream_at(connection->received, true, &piece);
    if (piece > (size_t)(length - done)) piece = (size_t)(length - done);
    if (memcmp(received + done, expected, piece) != 0)
      fail("wrong data received, at or after byte %ld", (long)connection->received);
    done += (ssize_t)piece;
    connection->received += piece;
  }
  bytes += (uint64_t)length;
  return length;
}

// --------------------------------------------------------------------------------------------------------- workloads

// echo, rpc: each complete response is followed by the next message.
static void on_answer(struct connection* connection) {
  const ssize_t length = receive_checked(connection);
  if (length == 0) fail("the server closed a connection, after %ld messages", (long)connection->answered);
  if (length < 0) return;
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  while (connection->received >= (connection->answered + 1) * (uint64_t)answer_size) {
    count_time(now - connection->begun[connection->answered % (uint64_t)options.pipelined]);
    ++connection->answered;
    ++messages;
    begin_message(connection, now);
  }
  send_pending(connection);
}

enum { MAX_HEAD = 4096 };

// The number in a field of a reply's head, which ends with '\0'. -1: the field is absent.
static long field_of(const char* head, const char* name) {
  const char* found = strcasestr(head, name);
  return found == NULL ? -1 : strtol(found + strlen(name), NULL, 10);
}

// http: one request is in flight. Servers have different heads: only the status, the length and the body are checked.
static void on_http(struct connection* connection) {
  if (connection->reply == NULL) connection->reply = checked_alloc(malloc(MAX_HEAD + MAX_MESSAGE));
  char* reply = connection->reply;
  const ssize_t length =
      recv(connection->fd, reply + connection->received, MAX_HEAD + MAX_MESSAGE - connection->received - 1, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length < 0) die("recv");
  if (length == 0) fail("the server closed a connection, after %ld messages", (long)connection->answered);
  connection->received += (uint64_t)length;
  bytes += (uint64_t)length;
  reply[connection->received] = '\0';
  char* body = strstr(reply, "\r\n\r\n");
  if (body == NULL) return;
  body += 4;
  body[-1] = '\0';
  const long body_length = field_of(reply, "\ncontent-length:");
  if (strncmp(reply, "HTTP/1.1 200 ", 13) != 0 || body_length != answer_size)
    fail("no reply of status 200 with %ld bytes", answer_size);
  body[-1] = '\n';
  const uint64_t size = (uint64_t)(body - reply) + (uint64_t)body_length;
  if (connection->received < size) return;
  static uint8_t expected[MAX_MESSAGE];
  write_numbered(expected, answer_size, answer_start, answer_end, connection->answered, false);
  if (connection->received > size || memcmp(body, expected, (size_t)answer_size) != 0)
    fail("wrong data received in reply %ld", (long)connection->answered);
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  count_time(now - connection->begun[0]);
  connection->received = 0;
  ++connection->answered;
  ++messages;
  begin_message(connection, now);
  send_pending(connection);
}

// chat: how many connections have not received the current message. At 0 the first connection sends the next one.
static int still_to_receive;

static void send_chat(uint64_t now) {
  still_to_receive = options.connections;
  begin_message(&connections[0], now);
  send_pending(&connections[0]);
}

static void on_chat(struct connection* connection) {
  const ssize_t length = receive_checked(connection);
  if (length == 0) fail("the server closed a connection, after %ld messages", (long)connection->answered);
  if (length < 0 || connection->received < (connection->answered + 1) * (uint64_t)answer_size) return;
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  count_time(now - connections[0].begun[0]);
  ++connection->answered;
  ++messages;
  if (--still_to_receive == 0) send_chat(now);
}

// connect: connects, sends one message and receives its echo, then both sides end their stream.
static void begin_connecting(struct connection* connection) {
  uint64_t* begun = connection->begun;
  *connection = (struct connection){.fd = connect_one(false), .begun = begun, .watches_write = true};
  begun[0] = clock_ns(CLOCK_MONOTONIC);
  watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void on_short_connection(struct connection* connection) {
  if (connection->to_send == 0) {
    int error = 0;
    socklen_t length = sizeof error;
    check(getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length), "getsockopt");
    errno = error;
    if (error != 0) die("connect");
    connection->to_send = (uint64_t)request_size;
    send_pending(connection);
  }
  const ssize_t length = receive_checked(connection);
  if (length < 0) return;
  if (length > 0) {
    if (connection->received == (uint64_t)answer_size) check(shutdown(connection->fd, SHUT_WR), "shutdown");
    return;
  }
  if (connection->received != (uint64_t)answer_size)
    fail("the server closed a connection after %ld bytes", (long)connection->received);
  ++messages;
  count_time(clock_ns(CLOCK_MONOTONIC) - connection->begun[0]);
  close(connection->fd);
  begin_connecting(connection);
}

static void begin(void) {
  const uint64_t now = clock_ns(CLOCK_MONOTONIC);
  if (strcmp(options.workload, "chat") == 0) {
    usleep(300000);  // until the server has accepted all: one that is accepted later misses the message
    return send_chat(now);
  }
  for (int i = 0; i < options.connections; ++i) {
    for (int k = 0; k < options.pipelined; ++k) begin_message(&connections[i], now);
    send_pending(&connections[i]);
  }
}

// ------------------------------------------------------------------------------------------------------------ running

static void run_until(uint64_t end, void (*on_readable)(struct connection*)) {
  static struct epoll_event events[MAX_EVENTS];
  while (clock_ns(CLOCK_MONOTONIC) < end) {
    const int ready = epoll_wait(epoll, events, MAX_EVENTS, MAX_SILENCE_MS);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    if (ready == 0) fail("the server was silent for %ld milliseconds", MAX_SILENCE_MS);
    for (int i = 0; i < ready; ++i) {
      struct connection* connection = events[i].data.ptr;
      if ((events[i].events & EPOLLOUT) != 0 && connection->to_send > connection->sent) send_pending(connection);
      on_readable(connection);
    }
  }
}

static void measure(void (*on_readable)(struct connection*)) {
  const uint64_t start = clock_ns(CLOCK_MONOTONIC);
  run_until(start + (uint64_t)(options.warm_up * 1e9), on_readable);
  memset(histogram, 0, sizeof histogram);
  messages = bytes = 0;
  const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
  const uint64_t server = cpu_of_server(), own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  run_until(begun + (uint64_t)(options.seconds * 1e9), on_readable);
  const uint64_t server_cpu = cpu_of_server() - server, own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own;
  printf(
      "{\"messages\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"serverCpu\": %llu, \"clientCpu\": %llu, "
      "\"p50\": %.1f, \"p99\": %.1f, \"memory\": %ld}\n",
      (unsigned long long)messages, (unsigned long long)bytes, (double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e9,
      (unsigned long long)server_cpu, (unsigned long long)own_cpu, quantile(0.5), quantile(0.99), memory_of_server());
}

// idle: one message per connection; then all are open, and the server has nothing to do.
static void measure_idle(void) {
  const long before = memory_of_server();
  open_all();
  for (int i = 0; i < options.connections; ++i) {
    begin_message(&connections[i], 0);
    send_pending(&connections[i]);
  }
  const uint64_t deadline = clock_ns(CLOCK_MONOTONIC) + MAX_SILENCE_MS * 6 * 1000000ull;
  for (int i = 0; i < options.connections;) {
    if (connections[i].received == (uint64_t)answer_size) {
      ++i;
    } else if (receive_checked(&connections[i]) == 0 || clock_ns(CLOCK_MONOTONIC) > deadline) {
      fail("connection %ld was not answered", i);
    }
  }
  usleep(500000);
  printf("{\"before\": %ld, \"memory\": %ld, \"connections\": %d}\n", before, memory_of_server(), options.connections);
}

static long parse_number(const char* text, long min, long max) {
  char* end;
  const long value = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value < min || value > max) {
    fprintf(stderr, "load: '%s' is not an integer from %ld to %ld\n", text, min, max);
    exit(2);
  }
  return value;
}

static void parse(int count, char** arguments) {
  for (int option; (option = getopt(count, arguments, "c:s:p:t:w:k:")) != -1;) {
    if (option == 'c') options.connections = (int)parse_number(optarg, 1, 1000000);
    if (option == 's') options.size = (int)parse_number(optarg, 1, MAX_MESSAGE - PATTERN);
    if (option == 'p') options.pipelined = (int)parse_number(optarg, 1, 1024);
    if (option == 't') options.seconds = atof(optarg);
    if (option == 'w') options.warm_up = atof(optarg);
    if (option == 'k') {
      if (options.server_count == MAX_SERVERS) fail("a server has at most %ld processes", MAX_SERVERS);
      options.servers[options.server_count++] = (pid_t)parse_number(optarg, 1, INT32_MAX);
    }
    if (option == '?') exit(2);
  }
  if (optind != count - 2) {
    fprintf(stderr, "usage: load echo|rpc|http|chat|connect|idle PORT [options]\n");
    exit(2);
  }
  options.workload = arguments[optind];
  options.port = (uint16_t)parse_number(arguments[optind + 1], 1, 65535);
}

int main(int count, char** arguments) {
  parse(count, arguments);
  struct rlimit limit;
  check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  prepare_messages();
  if (strcmp(options.workload, "idle") == 0) {
    measure_idle();
  } else if (strcmp(options.workload, "connect") == 0) {
    epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    connections = checked_alloc(calloc((size_t)options.connections, sizeof *connections));
    for (int i = 0; i < options.connections; ++i) {
      connections[i].begun = checked_alloc(calloc(1, sizeof(uint64_t)));
      begin_connecting(&connections[i]);
    }
    measure(on_short_connection);
  } else if (strcmp(options.workload, "chat") == 0) {
    options.pipelined = 1;
    open_all();
    begin();
    measure(on_chat);
  } else if (is_http()) {
    options.pipelined = 1;
    open_all();
    begin();
    measure(on_http);
  } else if (strcmp(options.workload, "echo") == 0 || is_rpc()) {
    open_all();
    begin();
    measure(on_answer);
  } else {
    fprintf(stderr, "load: unknown workload '%s'\n", options.workload);
    return 2;
  }
}
