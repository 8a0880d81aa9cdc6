"""The holder's socket: requests in, answers and wake-ups out, one JSON object a line.

Nothing here waits for a client: what it does not read is kept up to a bound, and
then the client is dropped.
"""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable
from typing import Any

MOST_WAITING_BYTES = 64 << 20  # unread by us or by the client: beyond it, good-bye


class Client:
    __slots__ = ("coming", "going", "socket", "watches")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.coming = b""
        self.going = b""
        self.watches = False


class Clients:
    def __init__(self, folder: str, wake_fd: int) -> None:
        place = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        name = f"/proc/self/fd/{place}/holder.sock"  # a path of any length
        if os.path.lexists(name):
            os.unlink(name)
        self.server = socket.socket(socket.AF_UNIX)
        old = os.umask(0o177)
        self.server.bind(name)
        os.umask(old)
        os.close(place)
        self.server.listen(64)
        self.server.setblocking(False)
        self.wake_fd = wake_fd
        self.epoll = select.epoll()
        self.epoll.register(self.server, select.EPOLLIN)
        self.epoll.register(wake_fd, select.EPOLLIN)
        self.by_fd: dict[int, Client] = {}
        self.hears: dict[int, Callable[[], None]] = {}

    def requests(self, timeout_s: float | None) -> list[tuple[Client, dict[str, Any]]]:
        """What was asked, waiting up to timeout_s for something to happen."""
        asked: list[tuple[Client, dict[str, Any]]] = []
        for fd, event in self.epoll.poll(timeout_s):
            if fd == self.server.fileno():
                self._accept()
            elif fd == self.wake_fd:
                os.read(fd, 4096)
            elif client := self.by_fd.get(fd):
                if event & select.EPOLLOUT:
                    self._push(client)
                if event & ~select.EPOLLOUT and client.socket.fileno() >= 0:
                    asked += ((client, request) for request in self._read(client))
            elif (hear := self.hears.get(fd)) is not None:
                hear()
        return asked

    def listen_to(self, fd: int, hear: Callable[[], None] | None = None) -> None:
        """Return from `requests` when `fd` has something to say; `hear` it first."""
        self.epoll.register(fd, select.EPOLLIN)
        if hear is not None:
            self.hears[fd] = hear

    def listen_more(self, fd: int, *, on: bool) -> None:
        """Hear `fd` no more for the time being, or again."""
        self.epoll.modify(fd, select.EPOLLIN if on else 0)

    def let_go(self, fd: int) -> None:
        self.epoll.unregister(fd)
        self.hears.pop(fd, None)

    def reply(self, client: Client, answer: dict[str, Any]) -> None:
        if client.socket.fileno() >= 0:
            client.going += json.dumps(answer).encode() + b"\n"
            self._push(client)

    def wake(self) -> None:
        """One byte to each watcher that has none waiting."""
        for client in [c for c in self.by_fd.values() if c.watches]:
            try:
                client.socket.send(b".", socket.MSG_NOSIGNAL)
            except BlockingIOError:
                pass  # it has wake-ups enough
            except OSError:
                self._drop(client)

    def _accept(self) -> None:
        try:
            connection, _ = self.server.accept()
        except OSError:
            return
        connection.setblocking(False)
        self.by_fd[connection.fileno()] = Client(connection)
        self.epoll.register(connection, select.EPOLLIN)

    def _read(self, client: Client) -> list[dict[str, Any]]:
        try:
            data = client.socket.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return []
        *lines, client.coming = (client.coming + data).split(b"\n")
        try:
            found = [json.loads(line) for line in lines]
        except ValueError:
            found = [None]
        if None in found or len(client.coming) > MOST_WAITING_BYTES:
            self._drop(client)
            return []
        return found

    def _push(self, client: Client) -> None:
        try:
            sent = client.socket.send(client.going, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._drop(client)
        client.going = client.going[sent:]
        if len(client.going) > MOST_WAITING_BYTES:
            return self._drop(client)
        events = select.EPOLLIN | (select.EPOLLOUT if client.going else 0)
        self.epoll.modify(client.socket, events)

    def _drop(self, client: Client) -> None:
        fd = client.socket.fileno()
        if fd >= 0:
            self.epoll.unregister(fd)
            self.by_fd.pop(fd, None)
            client.socket.close()
