// The kernel's interface of io_uring (linux/io_uring.h), as far as it is used, with the kernel's names. Repeated here
// so that the addon builds with the headers of an older system than it runs on. The layout is a stable kernel ABI.
#pragma once

#include <cstdint>

namespace selectors::uring {

// NOLINTBEGIN(readability-identifier-naming): the kernel's names stay as they are

struct io_uring_sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t off;  // also addr2
  uint64_t addr;
  uint32_t len;
  uint32_t op_flags;  // msg_flags, accept_flags, poll32_events, timeout_flags, cancel_flags …
  uint64_t user_data;
  uint16_t buf_index;  // also buf_group
  uint16_t personality;
  int32_t file_index;
  uint64_t addr3;
  uint64_t pad2;
};
static_assert(sizeof(io_uring_sqe) == 64);

struct io_uring_cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};
static_assert(sizeof(io_uring_cqe) == 16);

struct io_sqring_offsets {
  uint32_t head;
  uint32_t tail;
  uint32_t ring_mask;
  uint32_t ring_entries;
  uint32_t flags;
  uint32_t dropped;
  uint32_t array;
  uint32_t resv1;
  uint64_t user_addr;
};

struct io_cqring_offsets {
  uint32_t head;
  uint32_t tail;
  uint32_t ring_mask;
  uint32_t ring_entries;
  uint32_t overflow;
  uint32_t cqes;
  uint32_t flags;
  uint32_t resv1;
  uint64_t user_addr;
};

struct io_uring_params {
  uint32_t sq_entries;
  uint32_t cq_entries;
  uint32_t flags;
  uint32_t sq_thread_cpu;
  uint32_t sq_thread_idle;
  uint32_t features;
  uint32_t wq_fd;
  uint32_t resv[3];
  io_sqring_offsets sq_off;
  io_cqring_offsets cq_off;
};
static_assert(sizeof(io_uring_params) == 120);

struct io_uring_getevents_arg {
  uint64_t sigmask;
  uint32_t sigmask_sz;
  uint32_t pad;
  uint64_t ts;
};

struct kernel_timespec {
  int64_t tv_sec;
  int64_t tv_nsec;
};

struct io_uring_probe_op {
  uint8_t op;
  uint8_t resv;
  uint16_t flags;
  uint32_t resv2;
};

struct io_uring_probe {
  uint8_t last_op;
  uint8_t ops_len;
  uint16_t resv;
  uint32_t resv2[3];
  io_uring_probe_op ops[256];
};

// An entry of a ring of provided buffers. The ring's tail lies in `resv` of the first one.
struct io_uring_buf {
  uint64_t addr;
  uint32_t len;
  uint16_t bid;
  uint16_t resv;
};
static_assert(sizeof(io_uring_buf) == 16);

struct io_uring_buf_reg {
  uint64_t ring_addr;
  uint32_t ring_entries;
  uint16_t bgid;
  uint16_t flags;
  uint64_t resv[3];
};

// The numbers of the system calls io_uring_setup, io_uring_enter and io_uring_register: the same on all architectures.
inline constexpr long kSetupCall = 425;
inline constexpr long kEnterCall = 426;
inline constexpr long kRegisterCall = 427;

inline constexpr uint32_t IORING_SETUP_CQSIZE = 1U << 3;
inline constexpr uint32_t IORING_SETUP_SUBMIT_ALL = 1U << 7;
inline constexpr uint32_t IORING_SETUP_COOP_TASKRUN = 1U << 8;
inline constexpr uint32_t IORING_SETUP_SINGLE_ISSUER = 1U << 12;
inline constexpr uint32_t IORING_SETUP_DEFER_TASKRUN = 1U << 13;

inline constexpr uint32_t IORING_FEAT_SINGLE_MMAP = 1U << 0;
inline constexpr uint32_t IORING_FEAT_NODROP = 1U << 1;
inline constexpr uint32_t IORING_FEAT_EXT_ARG = 1U << 8;

inline constexpr uint64_t IORING_OFF_SQ_RING = 0;
inline constexpr uint64_t IORING_OFF_SQES = 0x10000000;

inline constexpr uint32_t IORING_ENTER_GETEVENTS = 1U << 0;
inline constexpr uint32_t IORING_ENTER_EXT_ARG = 1U << 3;

inline constexpr uint32_t IORING_REGISTER_EVENTFD = 4;
inline constexpr uint32_t IORING_REGISTER_PROBE = 8;
inline constexpr uint32_t IORING_REGISTER_PBUF_RING = 22;
inline constexpr uint16_t IO_URING_OP_SUPPORTED = 1U << 0;

inline constexpr uint32_t IORING_CQE_F_BUFFER = 1U << 0;
inline constexpr uint32_t IORING_CQE_F_MORE = 1U << 1;
inline constexpr uint32_t IORING_CQE_F_SOCK_NONEMPTY = 1U << 2;
inline constexpr uint32_t IORING_CQE_BUFFER_SHIFT = 16;

inline constexpr uint8_t IOSQE_BUFFER_SELECT = 1U << 5;
inline constexpr uint16_t IORING_RECV_MULTISHOT = 1U << 1;
inline constexpr uint16_t IORING_ACCEPT_MULTISHOT = 1U << 0;
inline constexpr uint32_t IORING_POLL_ADD_MULTI = 1U << 0;
inline constexpr uint32_t IORING_ASYNC_CANCEL_ALL = 1U << 0;
inline constexpr uint32_t IORING_ASYNC_CANCEL_ANY = 1U << 2;

inline constexpr uint8_t IORING_OP_NOP = 0;
inline constexpr uint8_t IORING_OP_POLL_ADD = 6;
inline constexpr uint8_t IORING_OP_SENDMSG = 9;
inline constexpr uint8_t IORING_OP_RECVMSG = 10;
inline constexpr uint8_t IORING_OP_TIMEOUT = 11;
inline constexpr uint8_t IORING_OP_ACCEPT = 13;
inline constexpr uint8_t IORING_OP_ASYNC_CANCEL = 14;
inline constexpr uint8_t IORING_OP_CONNECT = 16;
inline constexpr uint8_t IORING_OP_READ = 22;
inline constexpr uint8_t IORING_OP_WRITE = 23;
inline constexpr uint8_t IORING_OP_SEND = 26;
inline constexpr uint8_t IORING_OP_RECV = 27;

// NOLINTEND(readability-identifier-naming)

}  // namespace selectors::uring
