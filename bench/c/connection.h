// A non-blocking connection of a server in C. Received bytes go to the application; bytes that the kernel does not take
// at once are queued in `out`. The event loop is the caller's: epoll.c, libevent.c.
#pragma once

#include "common.h"

enum { RECEIVE_SIZE = 65536 };

struct connection;
typedef void (*application)(struct connection* connection, char* bytes, size_t length);

struct connection {
  int fd;
  bool closed;       // no longer used; the loop frees it
  bool wants_write;  // `out` is not empty: nothing is received until it is sent
  char* out;
  size_t out_length, out_sent;
  char* line;  // chat, rpc: the beginning of an incomplete line or frame
  size_t line_length;
  struct connection *next, *previous;  // epoll.c: the list of all connections
  void* loop;                          // libevent.c: the connection's event
};

static inline void send_queued(struct connection* connection) {
  while (connection->out_sent < connection->out_length) {
    const ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
                              connection->out_length - connection->out_sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) connection->closed = true;
      return;
    }
    connection->out_sent += (size_t)sent;
  }
  free(connection->out);
  connection->out = NULL;
  connection->out_length = connection->out_sent = 0;
  connection->wants_write = false;
}

static inline void write_bytes(struct connection* connection, const char* bytes, size_t length) {
  if (connection->closed) return;
  size_t sent = 0;
  if (!connection->wants_write) {
    const ssize_t result = send(connection->fd, bytes, length, MSG_NOSIGNAL);
    if (result < 0 && errno != EAGAIN) {
      connection->closed = true;
      return;
    }
    if (result > 0) sent = (size_t)result;
    if (sent == length) return;
  }
  const size_t unsent = length - sent;
  connection->out = checked_alloc(realloc(connection->out, connection->out_length + unsent));
  memcpy(connection->out + connection->out_length, bytes + sent, unsent);
  connection->out_length += unsent;
  connection->wants_write = true;
}

// One recv per readiness event, as in textbooks.
static inline void receive(struct connection* connection, application application) {
  static char bytes[RECEIVE_SIZE];
  const ssize_t length = recv(connection->fd, bytes, sizeof bytes, 0);
  if (length > 0) {
    application(connection, bytes, (size_t)length);
  } else if (length == 0 || errno != EAGAIN) {
    connection->closed = true;
  }
}

static inline struct connection* open_connection(int fd) {
  struct connection* connection = checked_alloc(calloc(1, sizeof *connection));
  connection->fd = fd;
  set_no_delay(fd);
  return connection;
}

static inline void free_connection(struct connection* connection) {
  close(connection->fd);
  free(connection->out);
  free(connection->line);
  free(connection);
}

static inline void echo(struct connection* connection, char* bytes, size_t length) {
  write_bytes(connection, bytes, length);
}
