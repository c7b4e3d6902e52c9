// What all mechanisms answer in the same shape, so that a turn (turn/turn.cc) may wait in any of them and know none.
// addon.cc brings the two together.
#pragma once

#include <cstdint>
#include <span>

#include "core/result.h"
#include "platform/platform.h"

namespace selectors {

enum : int32_t { kReadable = 1, kWritable = 2 };

// One descriptor, and what it was found ready for, as it crosses to JavaScript: five numbers.
struct Ready {
  int32_t fd;
  int32_t generation;  // what it was registered with; 0 where the mechanism keeps none
  int32_t events;      // kReadable, kWritable; a hang-up or an error is every direction's business
  int32_t received;    // the turn's: how many bytes
  int32_t place;       // the turn's: where they are
};

struct WaitRequest {
  Fd set;                       // the descriptor of epoll or kqueue
  std::span<int32_t> interest;  // of select and poll: pairs [descriptor, POLLIN | POLLOUT]
  double timeout;               // milliseconds; negative: for ever
};

// wait: how many ready ones it put into `out`. What finds no room there is told by the next wait.
struct Multiplexer {
  const char* name;
  Result (*wait)(const WaitRequest& request, std::span<Ready> out);
};

}  // namespace selectors
