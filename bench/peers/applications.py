"""The applications of python_selectors.py and python_asyncio.py.

A server calls one per connection and gets a function, which it calls with each chunk of bytes and which returns the reply. Replies of
`chat` go to all connections. The function raises an exception if the bytes are invalid.
"""

import json
import re
import struct
import sys

MAX_FRAME = 1 << 20
PREFIX = struct.Struct('<I')
# As JavaScript's JSON.stringify has it, but for some numbers: 1.0 stays 1.0. Made once, for json.dumps would make one at each call.
encode = json.JSONEncoder(separators=(',', ':'), ensure_ascii=False).encode
BREAKS = re.compile('[\r\n\u2028\u2029]+')


def echo():
    return lambda chunk: chunk


def chat():
    """Lines of {"user": "ann", "text": "hello"}, each of which becomes [ann] hello."""
    rest = b''

    def answer(chunk):
        nonlocal rest
        *lines, rest = (rest + chunk).split(b'\n')
        if len(rest) > MAX_FRAME:
            raise ValueError('too long')
        return b''.join([chat_line(line) for line in lines if line.strip()])

    return answer


def chat_line(line):
    message = json.loads(line.decode())
    # A newline in the text would let a client send lines in another user's name.
    return (BREAKS.sub(' ', f'[{message["user"]}] {message["text"]}') + '\n').encode()


def rpc():
    """Frames of a length (4 bytes, little-endian) and as many bytes of JSON: a ping is answered by a pong."""
    rest = bytearray()

    def answer(chunk):
        rest.extend(chunk)
        answers = []
        start = 0
        while len(rest) - start >= PREFIX.size:
            body = start + PREFIX.size
            end = body + PREFIX.unpack_from(rest, start)[0]
            if end > len(rest):
                break
            answers.append(answered(rest[body:end].decode()))
            start = end
        del rest[:start]
        if len(rest) > MAX_FRAME:
            raise ValueError('too long')
        return b''.join(answers)

    return answer


def answered(request):
    message = json.loads(request)
    if message['in'] != 'ping':
        raise ValueError('no such method')
    text = encode({'out': 'pong', 'result': message.get('params')}).encode()
    return PREFIX.pack(len(text)) + text


APPLICATIONS = {'echo': echo, 'chat': chat, 'rpc': rpc}


def named(arguments):
    """The application that the program's first argument names. Exits if there is no such application."""
    name = arguments[1] if len(arguments) > 1 else None
    if name not in APPLICATIONS:
        print(f'{name}: not one of {", ".join(APPLICATIONS)}', file=sys.stderr)
        sys.exit(2)
    return APPLICATIONS[name]
