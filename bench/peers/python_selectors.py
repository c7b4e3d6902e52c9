"""CPython's selectors over non-blocking sockets: the data of each key is what the loop calls.

python_selectors.py APPLICATION [EpollSelector | PollSelector | SelectSelector]
"""

import selectors
import socket
import sys
from selectors import EVENT_READ, EVENT_WRITE

sys.dont_write_bytecode = True  # no __pycache__ among the sources
from applications import chat, named

# The highest descriptor that CPython's select() takes is one less, whatever the kernel could do.
FD_SETSIZE = 1024

application = named(sys.argv)
room = set()


class Connection:
    """Replies to what is received. While part of a reply is unsent, nothing is read."""

    def __init__(self, sock):
        self.sock = sock
        self.answer = application()
        self.waiting = bytearray()

    def on_ready(self, key, events):
        try:
            if events & EVENT_WRITE:
                self.flush()
            elif chunk := self.sock.recv(65536):
                if answer := self.answer(chunk):
                    for connection in room if application is chat else (self,):
                        connection.send(answer)
            else:
                self.close()
        except BlockingIOError:
            pass  # a wake-up for nothing
        except Exception:
            self.close()  # reset by its peer, or it makes no sense

    def send(self, data):
        if self.waiting:
            self.waiting += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the selector reports it too, and on_ready closes
        if sent < len(data):
            self.waiting += data[sent:]
            selector.modify(self.sock, EVENT_WRITE, self.on_ready)

    def flush(self):
        sent = self.sock.send(self.waiting)
        del self.waiting[:sent]
        if not self.waiting:
            selector.modify(self.sock, EVENT_READ, self.on_ready)

    def close(self):
        room.discard(self)
        selector.unregister(self.sock)
        self.sock.close()


def on_connection(key, events):
    try:
        sock, _ = key.fileobj.accept()
    except OSError:
        return  # gone already, or no descriptor is left
    if isinstance(selector, selectors.SelectSelector) and sock.fileno() >= FD_SETSIZE:
        sock.close()
        return
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = Connection(sock)
    room.add(connection)
    selector.register(sock, EVENT_READ, connection.on_ready)


def selector_named(name):
    if name not in ('DefaultSelector', 'EpollSelector', 'PollSelector', 'SelectSelector'):
        print(f'{name}: not a selector', file=sys.stderr)
        sys.exit(2)
    return getattr(selectors, name)()


selector = selector_named(sys.argv[2] if len(sys.argv) > 2 else 'DefaultSelector')
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(4096)
listener.setblocking(False)
selector.register(listener, EVENT_READ, on_connection)
print(f'listening on 127.0.0.1:{listener.getsockname()[1]}', flush=True)
while True:
    for key, events in selector.select():
        key.data(key, events)
