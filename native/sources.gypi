{
  "variables": {
    "sources_common": [
      "native/addon.cc",
      "native/core/args.cc",
      "native/core/descriptor.cc",
      "native/core/environment.cc",
      "native/core/faults.cc",
      "native/core/multiplexer.cc",
      "native/core/trace.cc",
      "native/core/wakeable.cc",
      "native/core/outgoing.cc",
      "native/core/external_memory.cc",
      "native/mechanisms/select.cc",
      "native/mechanisms/poll.cc",
      "native/net/address.cc",
      "native/net/constants.cc",
      "native/net/socket.cc",
      "native/platform/system_calls.cc",
      "native/shared/shared_file.cc",
      "native/trace/fault_plan.cc",
      "native/trace/recording.cc",
      "native/turn/turn.cc",
      "native/wait/loop_watch.cc",
      "native/wait/signals.cc",
      "native/wait/waiter.cc",
      "native/wait/wakeup.cc"
    ],
    "sources_posix": [
      "native/platform/posix.cc",
      "native/platform/posix_calls.cc",
      "native/net/pass_fds.cc",
      "native/wait/interrupt.cc"
    ],
    "sources_linux": [
      "native/mechanisms/epoll.cc",
      "native/mechanisms/io_uring.cc",
      "native/mechanisms/io_uring_faults.cc",
      "native/mechanisms/io_uring_flush.cc",
      "native/mechanisms/io_uring_instruments.cc",
      "native/mechanisms/io_uring_operations.cc",
      "native/mechanisms/io_uring_ring.cc",
      "native/mechanisms/io_uring_streams.cc",
      "native/mechanisms/io_uring_trace.cc",
      "native/mechanisms/io_uring_turn.cc"
    ],
    "sources_kqueue": [
      "native/mechanisms/kqueue.cc"
    ],
    "sources_devpoll": [
      "native/mechanisms/devpoll.cc"
    ],
    "sources_windows": [
      "native/platform/win.cc",
      "native/platform/win_calls.cc",
      "native/platform/win_ports.cc",
      "native/mechanisms/afd.cc",
      "native/mechanisms/afd_calls.cc",
      "native/mechanisms/afd_port.cc",
      "native/mechanisms/afd_set.cc",
      "native/mechanisms/iocp.cc",
      "native/mechanisms/iocp_calls.cc",
      "native/mechanisms/iocp_files.cc",
      "native/mechanisms/iocp_port.cc",
      "native/mechanisms/iocp_sockets.cc",
      "native/net/share_socket.cc"
    ]
  }
}
