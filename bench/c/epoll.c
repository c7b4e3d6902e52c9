// The lower limit on epoll(7): the cost of a server without runtime, library or abstraction. Usage: epoll echo|chat|rpc
// [PROCESSES]
//
// A textbook loop: epoll_wait, then one recv and the sends for each ready connection. chat does the same as
// src/servers/applications/chat.ts: it receives lines of {"user": "ann", "text": "hello"} and sends [ann] hello to
// every connection. rpc does the same as src/servers/applications/rpc.ts, but reads no JSON: a frame must begin as the
// clients write a ping, and what follows is copied into the reply (src/instruments/bench/programs/frames.ts).
// Each of several processes has a socket on the same port (SO_REUSEPORT).
#include <endian.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "connection.h"

enum { MAX_EVENTS = 1024, MAX_LINE = 65536, PREFIX = 4, MAX_FRAME = 1 << 20, MAX_REPLIES = 2 * MAX_FRAME };

static struct connection* connections;  // a list

// The value of "name":"value" in a line of JSON, without the quotes; escapes are not decoded. NULL: there is none.
static const char* string_field(const char* line, const char* name, size_t* length) {
  char pattern[32];
  snprintf(pattern, sizeof pattern, "\"%s\":", name);
  const char* found = strstr(line, pattern);
  if (found == NULL) return NULL;
  const char* start = found + strlen(pattern);
  while (*start == ' ') ++start;
  if (*start++ != '"') return NULL;
  const char* end = start;
  while (*end != '\0' && *end != '"') end += *end == '\\' && end[1] != '\0' ? 2 : 1;
  *length = (size_t)(end - start);
  return start;
}

static void broadcast(const char* line) {
  size_t user_length, text_length;
  const char* user = string_field(line, "user", &user_length);
  const char* text = string_field(line, "text", &text_length);
  if (user == NULL || text == NULL) return;
  static char message[MAX_LINE + 8];
  const int length = snprintf(message, sizeof message, "[%.*s] %.*s\n", (int)user_length, user, (int)text_length, text);
  for (struct connection* one = connections; one != NULL; one = one->next) write_bytes(one, message, (size_t)length);
}

static void chat(struct connection* connection, char* bytes, size_t length) {
  if (connection->line_length + length > MAX_LINE) {
    connection->closed = true;
    return;
  }
  connection->line = checked_alloc(realloc(connection->line, connection->line_length + length + 1));
  memcpy(connection->line + connection->line_length, bytes, length);
  connection->line_length += length;
  connection->line[connection->line_length] = '\0';
  char* start = connection->line;
  for (char* end = strchr(start, '\n'); end != NULL; end = strchr(start, '\n')) {
    *end = '\0';
    broadcast(start);
    start = end + 1;
  }
  connection->line_length = strlen(start);
  memmove(connection->line, start, connection->line_length + 1);
}

static const char ping[] = "{\"in\":\"ping\",\"params\":", pong[] = "{\"out\":\"pong\",\"result\":";
enum { PING = sizeof ping - 1, PONG = sizeof pong - 1 };

// Writes the reply to a frame of `size` bytes. Its length; 0: the frame is no ping.
static size_t reply_to(const char* frame, uint32_t size, char* out) {
  if (size < PING || memcmp(frame, ping, PING) != 0) return 0;
  const uint32_t reply = size - PING + PONG, prefix = htole32(reply);
  memcpy(out, &prefix, PREFIX);
  memcpy(out + PREFIX, pong, PONG);
  memcpy(out + PREFIX + PONG, frame + PING, size - PING);
  return PREFIX + reply;
}

// The beginning of an incomplete frame is kept in `line`.
static void rpc(struct connection* connection, char* bytes, size_t length) {
  static char replies[MAX_REPLIES];
  size_t start = 0, replied = 0;
  const bool was_kept = connection->line_length > 0;
  if (was_kept) {
    connection->line = checked_alloc(realloc(connection->line, connection->line_length + length));
    memcpy(connection->line + connection->line_length, bytes, length);
    length += connection->line_length;
    bytes = connection->line;
  }
  while (length - start >= PREFIX) {
    uint32_t size;
    memcpy(&size, bytes + start, PREFIX);
    size = le32toh(size);
    if (size > MAX_FRAME) {
      connection->closed = true;
      return;
    }
    if (length - start - PREFIX < size) break;
    if (replied + PREFIX + size + PONG > MAX_REPLIES) {
      write_bytes(connection, replies, replied);
      replied = 0;
    }
    const size_t reply = reply_to(bytes + start + PREFIX, size, replies + replied);
    if (reply == 0) {
      connection->closed = true;
      return;
    }
    replied += reply;
    start += PREFIX + size;
  }
  if (replied > 0) write_bytes(connection, replies, replied);
  connection->line_length = length - start;
  if (length == start) return;
  if (!was_kept) connection->line = checked_alloc(realloc(connection->line, length - start));
  memmove(connection->line, bytes + start, length - start);
}

static void accept_all(int epoll, int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    struct connection* connection = open_connection(fd);
    connection->next = connections;
    if (connections != NULL) connections->previous = connection;
    connections = connection;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
}

static void watch(int epoll, struct connection* connection) {
  struct epoll_event event = {.events = connection->wants_write ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
  check(epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event), "epoll_ctl");
}

// Called after all events of a wait: an event of the same wait may still refer to the connection.
static void close_connection(struct connection* connection) {
  if (connection->previous != NULL) connection->previous->next = connection->next;
  if (connection->next != NULL) connection->next->previous = connection->previous;
  if (connections == connection) connections = connection->next;
  free_connection(connection);
}

static _Noreturn void serve(int epoll, int listener, application application) {
  static struct epoll_event events[MAX_EVENTS];
  for (;;) {
    const int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    bool any_closed = false;
    for (int i = 0; i < ready; ++i) {
      struct connection* connection = events[i].data.ptr;
      if (connection == NULL) {
        accept_all(epoll, listener);
        continue;
      }
      const bool wanted_write = connection->wants_write;
      if (wanted_write) {
        send_queued(connection);
      } else {
        receive(connection, application);
      }
      if (connection->closed) {
        any_closed = true;
      } else if (connection->wants_write != wanted_write) {
        watch(epoll, connection);
      }
    }
    // A broadcast may have left queued bytes, or a failed send, on connections that had no event.
    if (application != chat && !any_closed) continue;
    for (struct connection *one = connections, *next; one != NULL; one = next) {
      next = one->next;
      if (one->closed) {
        close_connection(one);
      } else if (one->wants_write) {
        watch(epoll, one);
      }
    }
  }
}

static application application_named(const char* name) {
  if (strcmp(name, "echo") == 0) return echo;
  if (strcmp(name, "chat") == 0) return chat;
  return strcmp(name, "rpc") == 0 ? rpc : NULL;
}

static _Noreturn void run(int listener, application application) {
  const int epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
  serve(epoll, listener, application);
}

int main(int count, char** arguments) {
  const application application = count >= 2 ? application_named(arguments[1]) : NULL;
  const int processes = count == 3 ? atoi(arguments[2]) : 1;
  if (application == NULL || count > 3 || processes < 1) {
    fprintf(stderr, "usage: epoll echo|chat|rpc [PROCESSES]\n");
    return 2;
  }
  int listener = listen_on_port(0, processes > 1, SOCK_NONBLOCK);
  for (int i = 1; i < processes; ++i) {
    const int other = listen_on_port(port_of(listener), 1, SOCK_NONBLOCK);
    if (check(fork(), "fork") == 0) {
      check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
      close(listener);  // the parent's
      listener = other;
      run(listener, application);
    }
    close(other);
  }
  print_listening(listener);
  run(listener, application);
}
