"""asyncio's protocols and transports: on asyncio's own loop, or on uvloop's.

python_asyncio.py APPLICATION [uvloop]
"""

import asyncio
import sys

sys.dont_write_bytecode = True  # no __pycache__ among the sources
from applications import chat, named

application = named(sys.argv)
room = set()


class Connection(asyncio.Protocol):
    """Replies to what is received. While the transport's write buffer is full, nothing is read."""

    def connection_made(self, transport):
        self.transport = transport  # both loops have set TCP_NODELAY
        self.answer = application()
        room.add(self)

    def data_received(self, data):
        try:
            answer = self.answer(data)
        except Exception:
            self.transport.abort()  # it makes no sense
            return
        for connection in room if application is chat else (self,):
            connection.transport.write(answer)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def connection_lost(self, error):
        room.discard(self)


async def serve():
    server = await asyncio.get_running_loop().create_server(Connection, '127.0.0.1', 0, backlog=4096)
    print(f'listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}', flush=True)
    await server.serve_forever()


def loop_factory():
    if sys.argv[2:] != ['uvloop']:
        return None
    try:
        import uvloop
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    return uvloop.new_event_loop


with asyncio.Runner(loop_factory=loop_factory()) as runner:
    runner.run(serve())
