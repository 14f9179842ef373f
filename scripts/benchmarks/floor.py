"""The floor: how little it costs to write one frame to many sockets from Python, with no service around it.

One epoll, raw sockets; a frame is encoded once, and written to each subscriber without blocking, in a loop. What a
socket does not take at once is lost: so this is a bound for the processor time of a delivery, and no server.

Arguments: the port of the clients, the port of the feed (lines of `channel TAB message`).
"""

import base64
import hashlib
import json
import os
import select
import socket
import sys
from collections import defaultdict

HANDSHAKE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload: bytes) -> bytes:
    """Return an unmasked text frame of less than 64 kB (RFC 6455, 5.2)."""
    size = len(payload)
    return (b"\x81" + bytes([size]) if size < 126 else b"\x81\x7e" + size.to_bytes(2)) + payload


def unmasked(data: bytes) -> bytes:
    """Return the payload of a client's one small frame."""
    start = 2 if data[1] & 0x7F < 126 else 4
    mask, payload = data[start : start + 4], data[start + 4 :]
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def listen(port: int) -> socket.socket:
    """Return a listening socket."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    return listener


def publish(lines: list[bytes], channels: dict[bytes, list[int]]) -> None:
    """Write what came in one read of the feed: frames of one channel joined, to one subscriber after the other."""
    gathered: dict[bytes, list[bytes]] = defaultdict(list)
    for line in lines:
        channel, _, message = line.partition(b"\t")
        gathered[channel].append(frame(message))
    write = os.write
    for channel, frames in gathered.items():
        data = b"".join(frames)
        for fd in channels[channel]:
            try:
                write(fd, data)
            except BlockingIOError:
                pass
            except OSError:
                channels[channel] = [other for other in channels[channel] if other != fd]


def main(port: int, feed_port: int) -> None:
    """Serve until killed."""
    clients, feeds = listen(port), listen(feed_port)
    poll = select.epoll()
    poll.register(clients, select.EPOLLIN)
    poll.register(feeds, select.EPOLLIN)
    sockets: dict[int, socket.socket] = {}
    shaken: set[int] = set()
    feeding: dict[int, bytes] = {}
    channels: dict[bytes, list[int]] = defaultdict(list)
    while True:
        for fd, _ in poll.poll():
            if fd in (clients.fileno(), feeds.fileno()):
                connection, _ = (clients if fd == clients.fileno() else feeds).accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                if fd == feeds.fileno():
                    feeding[connection.fileno()] = b""
                continue
            try:
                data = os.read(fd, 262_144)
            except OSError:
                data = b""
            if not data:
                shaken.discard(fd)
                feeding.pop(fd, None)
                for subscribers in channels.values():
                    if fd in subscribers:
                        subscribers.remove(fd)
                sockets.pop(fd).close()
            elif fd in feeding:
                *lines, feeding[fd] = (feeding[fd] + data).split(b"\n")
                publish(lines, channels)
            elif fd in shaken:
                if data[0] == 0x81:
                    channel = json.loads(unmasked(data))["channel"]
                    channels[channel.encode()].append(fd)
                    os.write(fd, frame(json.dumps({"type": "subscribed", "channel": channel}).encode()))
            else:
                key = data.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
                accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
                os.write(fd, HANDSHAKE.format(accept).encode())
                shaken.add(fd)


main(*map(int, sys.argv[1:]))
