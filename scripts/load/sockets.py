"""The sockets of a swarm: non-blocking, and found by their descriptors."""

import os
import socket
from select import EPOLLIN, EPOLLOUT, epoll

from load.client import Client
from load.plan import Plan

_NO_PORT_YET = 24  # IP_BIND_ADDRESS_NO_PORT, ip(7): one source port serves several destinations


class Sockets:
    """The connections of the clients of one process, and the epoll that watches them."""

    def __init__(self, plan: Plan) -> None:
        self._address = plan.host, plan.port
        self.poll = epoll()
        self.clients: dict[int, Client] = {}

    def dial(self, client: Client) -> None:
        """Begin to connect; the link is writable when that is over (see `opened`)."""
        client.link = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        client.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._address[0] == "127.0.0.1":
            client.link.setsockopt(socket.IPPROTO_IP, _NO_PORT_YET, 1)
            client.link.bind((client.source, 0))
        client.link.connect_ex(self._address)
        fd = client.link.fileno()
        self.clients[fd] = client
        self.poll.register(fd, EPOLLOUT)

    def opened(self, client: Client) -> str | None:
        """Listen to a client that is connected; return why it is not, if it is not."""
        if error := client.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return os.strerror(error)
        self.poll.modify(client.link.fileno(), EPOLLIN)
        return None

    def ignore(self, client: Client) -> None:
        """Read no more of what comes to a client."""
        self.poll.unregister(client.link.fileno())

    def cut(self, client: Client) -> None:
        """Break the connection without farewell, with a reset."""
        if client.link is None:
            return
        del self.clients[client.link.fileno()]
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.link.close()
        client.link = None
