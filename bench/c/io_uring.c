// The lower limit on io_uring(7), with liburing: one multishot accept, one multishot receive per connection into
// provided buffers (a buffer ring), and sends; all are submitted by the call that waits. Usage: io_uring echo
//
// A connection has at most one send in flight, so that bytes stay in order; data received meanwhile stays in its
// buffers.
#include <liburing.h>

#include "common.h"

enum { ENTRIES = 4096, COMPLETIONS = 16384, BUFFERS = 256, BUFFER_SIZE = 65536, MAX_DESCRIPTORS = 65536 };
enum operation { ACCEPT, RECEIVE, SEND };

struct received {
  unsigned short buffer;
  unsigned length, sent;
  struct received* next;
};

struct connection {
  bool receiving, ended;
  struct received *first, *last;  // the first one is being sent
};

static struct io_uring ring;
static struct io_uring_buf_ring* buffer_ring;
static char* buffers;
static struct connection* connections[MAX_DESCRIPTORS];
static struct received* spare;
// Connections whose receive found no free buffer and that hold none: their receive restarts after the completions of a
// wait.
static int starved[MAX_DESCRIPTORS];
static int starved_count;

static struct io_uring_sqe* new_entry(void) {
  struct io_uring_sqe* entry = io_uring_get_sqe(&ring);
  if (entry == NULL) {
    io_uring_submit(&ring);
    entry = checked_alloc(io_uring_get_sqe(&ring));
  }
  return entry;
}

// Call it after io_uring_prep_*, which clears user_data.
static void set_user_data(struct io_uring_sqe* entry, enum operation operation, int fd) {
  entry->user_data = (uint64_t)operation << 32 | (uint32_t)fd;
}

static void start_accepting(int listener) {
  struct io_uring_sqe* entry = new_entry();
  io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
  set_user_data(entry, ACCEPT, listener);
}

static void start_receiving(int fd) {
  struct io_uring_sqe* entry = new_entry();
  io_uring_prep_recv(entry, fd, NULL, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->ioprio |= IORING_RECV_MULTISHOT;
  entry->buf_group = 0;
  set_user_data(entry, RECEIVE, fd);
  connections[fd]->receiving = true;
}

static void recycle_buffer(unsigned short buffer) {
  io_uring_buf_ring_add(buffer_ring, buffers + (size_t)buffer * BUFFER_SIZE, BUFFER_SIZE, buffer,
                        io_uring_buf_ring_mask(BUFFERS), 0);
  io_uring_buf_ring_advance(buffer_ring, 1);
}

static void send_first(int fd) {
  struct received* first = connections[fd]->first;
  struct io_uring_sqe* entry = new_entry();
  io_uring_prep_send(entry, fd, buffers + (size_t)first->buffer * BUFFER_SIZE + first->sent,
                     first->length - first->sent, MSG_NOSIGNAL);
  set_user_data(entry, SEND, fd);
}

static void drop_first(struct connection* connection) {
  struct received* first = connection->first;
  recycle_buffer(first->buffer);
  connection->first = first->next;
  first->next = spare;
  spare = first;
}

static void close_if_done(int fd) {
  struct connection* connection = connections[fd];
  if (!connection->ended || connection->receiving || connection->first != NULL) return;
  connections[fd] = NULL;
  free(connection);
  close(fd);
}

static void on_accept(int listener, int result, bool has_more) {
  if (result >= MAX_DESCRIPTORS) {
    close(result);
  } else if (result >= 0) {
    connections[result] = checked_alloc(calloc(1, sizeof(struct connection)));
    set_no_delay(result);
    start_receiving(result);
  }
  if (!has_more) start_accepting(listener);
}

static void on_received(int fd, int result, bool has_buffer, unsigned short buffer, bool has_more) {
  struct connection* connection = connections[fd];
  connection->receiving = has_more;
  if (result > 0) {
    struct received* received = spare != NULL ? spare : checked_alloc(malloc(sizeof *received));
    if (received == spare) spare = spare->next;
    *received = (struct received){.buffer = buffer, .length = (unsigned)result};
    const bool is_idle = connection->first == NULL;
    if (is_idle) {
      connection->first = received;
    } else {
      connection->last->next = received;
    }
    connection->last = received;
    if (is_idle) send_first(fd);
  } else if (has_buffer) {
    recycle_buffer(buffer);
  }
  if (result == 0 || (result < 0 && result != -ENOBUFS)) connection->ended = true;
  // After ENOBUFS the receive restarts when the connection's next send completes; without one, in restart_starved().
  if (!has_more && !connection->ended && result > 0) start_receiving(fd);
  if (!has_more && !connection->ended && result < 0 && connection->first == NULL) starved[starved_count++] = fd;
  close_if_done(fd);
}

static void restart_starved(void) {
  const int count = starved_count;
  starved_count = 0;
  for (int i = 0; i < count; ++i) {
    const struct connection* connection = connections[starved[i]];
    if (connection != NULL && !connection->receiving && !connection->ended) start_receiving(starved[i]);
  }
}

static void on_sent(int fd, int result) {
  struct connection* connection = connections[fd];
  struct received* first = connection->first;
  if (result < 0) {
    connection->ended = true;
    if (connection->receiving) shutdown(fd, SHUT_RDWR);
    while (connection->first != NULL) drop_first(connection);
  } else {
    first->sent += (unsigned)result;
    if (first->sent == first->length) drop_first(connection);
    if (connection->first != NULL) send_first(fd);
    if (!connection->receiving && !connection->ended) start_receiving(fd);
  }
  close_if_done(fd);
}

static void complete(const struct io_uring_cqe* completion) {
  const int fd = (int)(uint32_t)completion->user_data;
  const bool has_more = (completion->flags & IORING_CQE_F_MORE) != 0;
  switch ((enum operation)(completion->user_data >> 32)) {
    case ACCEPT:
      on_accept(fd, completion->res, has_more);
      break;
    case RECEIVE:
      on_received(fd, completion->res, (completion->flags & IORING_CQE_F_BUFFER) != 0,
                  (unsigned short)(completion->flags >> IORING_CQE_BUFFER_SHIFT), has_more);
      break;
    case SEND:
      on_sent(fd, completion->res);
      break;
  }
}

static void open_ring(void) {
  struct io_uring_params params = {
      .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
      .cq_entries = COMPLETIONS};
  errno = -io_uring_queue_init_params(ENTRIES, &ring, &params);
  if (errno != 0) die("io_uring_setup");
  io_uring_register_ring_fd(&ring);
  buffers = checked_alloc(aligned_alloc(4096, (size_t)BUFFERS * BUFFER_SIZE));
  buffer_ring = checked_alloc(aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf)));
  struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)buffer_ring, .ring_entries = BUFFERS, .bgid = 0};
  errno = -io_uring_register_buf_ring(&ring, &registration, 0);
  if (errno != 0) die("io_uring_register");
  io_uring_buf_ring_init(buffer_ring);
  for (unsigned short buffer = 0; buffer < BUFFERS; ++buffer) recycle_buffer(buffer);
}

int main(int count, char** arguments) {
  if (count != 2 || strcmp(arguments[1], "echo") != 0) {
    fprintf(stderr, "usage: io_uring echo\n");
    return 2;
  }
  const int listener = listen_on_loopback(0);
  open_ring();
  start_accepting(listener);
  print_listening(listener);
  for (;;) {
    const int submitted = io_uring_submit_and_wait(&ring, 1);
    if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY) {
      errno = -submitted;
      die("io_uring_enter");
    }
    struct io_uring_cqe* completion;
    unsigned head, completed = 0;
    io_uring_for_each_cqe(&ring, head, completion) {
      complete(completion);
      ++completed;
    }
    io_uring_cq_advance(&ring, completed);
    restart_starved();
  }
}
