"""Measures a turn of CPython's selectors: select(0), repeatedly, with descriptors that stay ready.

turns.py epoll|poll|select N ACTIVE SECONDS FIRST_FD

The descriptors FIRST_FD to FIRST_FD + N - 1 are inherited; ACTIVE of them are and stay readable. Prints a line of JSON: the number of
turns, the CPU time per turn in nanoseconds, and the ready keys per turn.
"""

import json
import selectors
import sys
import time

SELECTORS = {
    'epoll': selectors.EpollSelector,
    'poll': selectors.PollSelector,
    'select': selectors.SelectSelector,
}
# The highest descriptor that CPython's select() takes is one less, whatever the kernel could do.
FD_SETSIZE = 1024
TURNS_A_LOOK = 8  # at the clock, which would cost as much as a small turn
WARM_UP = 0.1


def turns_of(selector, seconds):
    """The number of turns, and of the ready keys that they returned."""
    turns = ready = fds = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(TURNS_A_LOOK):
            keys = selector.select(0)
            for key, events in keys:
                fds += key.fd  # as a program would look at each
            ready += len(keys)
        turns += TURNS_A_LOOK
    return turns, ready


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def main(mechanism, count, seconds, first):
    if mechanism == 'select' and first + count > FD_SETSIZE:
        fail(f'select takes no descriptor above {FD_SETSIZE - 1}')
    with SELECTORS[mechanism]() as selector:
        for fd in range(first, first + count):
            selector.register(fd, selectors.EVENT_READ)
        turns_of(selector, WARM_UP)
        before = time.process_time_ns()
        turns, ready = turns_of(selector, seconds)
        spent = time.process_time_ns() - before
    print(json.dumps({'turns': turns, 'ns': spent / turns, 'ready': ready / turns}))


if len(sys.argv) != 6 or sys.argv[1] not in SELECTORS:
    fail('turns.py epoll|poll|select N ACTIVE SECONDS FIRST_FD')
# Other programs need ACTIVE; here each turn returns the number.
main(sys.argv[1], int(sys.argv[2]), float(sys.argv[4]), int(sys.argv[5]))
