// An echo server on libevent's raw events: libevent's loop, and the same recv and send as epoll.c.
#include <event2/event.h>
#include <event2/listener.h>

#include "connection.h"

static void watch(struct event_base* base, struct connection* connection);

static void on_ready(evutil_socket_t fd, short ready, void* argument) {
  (void)fd;
  struct connection* connection = argument;
  struct event* event = connection->loop;
  const bool wanted_write = connection->wants_write;
  if ((ready & EV_WRITE) != 0) {
    send_queued(connection);
  } else {
    receive(connection, echo);
  }
  if (connection->closed) {
    event_free(event);
    free_connection(connection);
  } else if (connection->wants_write != wanted_write) {
    struct event_base* base = event_get_base(event);
    event_free(event);
    watch(base, connection);
  }
}

static void watch(struct event_base* base, struct connection* connection) {
  const short interest = connection->wants_write ? EV_WRITE : EV_READ;
  struct event* event = checked_alloc(event_new(base, connection->fd, interest | EV_PERSIST, on_ready, connection));
  connection->loop = event;
  check(event_add(event, NULL), "event_add");
}

static void on_accept(struct evconnlistener* listener, evutil_socket_t fd, struct sockaddr* address, int length,
                      void* base) {
  (void)listener, (void)address, (void)length;
  watch(base, open_connection(fd));
}

int main(int count, char** arguments) {
  if (count != 2 || strcmp(arguments[1], "echo") != 0) {
    fprintf(stderr, "usage: libevent echo\n");
    return 2;
  }
  struct event_base* base = checked_alloc(event_base_new());
  const int listener = listen_on_loopback(SOCK_NONBLOCK);
  checked_alloc(evconnlistener_new(base, on_accept, base, LEV_OPT_CLOSE_ON_FREE, 0, listener));
  print_listening(listener);
  return event_base_dispatch(base);
}
