"""How connections come to a worker: the supervisor has accepted them, and hands over their descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from trunkline.proxy.listener import Take

TAKEN_A_TURN = 8
_WORD = b"c"  # a message has to have a byte


class Handed:
    """A worker's end; one message is one connection."""

    def __init__(self, handed: socket.socket, port: int, take: Take) -> None:
        self._handed = handed
        self._take = take
        self._loop = asyncio.get_running_loop()
        self.sockets: list[socket.socket] = []
        self.port = port
        self.taken = 0
        handed.setblocking(False)
        self._loop.add_reader(handed.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(TAKEN_A_TURN):
            try:
                word, descriptors, _, _ = socket.recv_fds(self._handed, len(_WORD), 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                word, descriptors = b"", []
            if not word:
                self.suspend()  # the supervisor is gone, which the channel tells
                return
            self.taken += 1
            for descriptor in descriptors:  # none if this process has no number left for it: then it was closed
                self._on_connection(descriptor)

    def _on_connection(self, descriptor: int) -> None:
        connection = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)
        try:
            remote = connection.getpeername()
        except OSError:  # it has gone already
            connection.close()
            return
        self._take(connection, remote)

    def suspend(self) -> None:
        """New connections wait until `wake`."""
        if self._handed.fileno() >= 0:
            self._loop.remove_reader(self._handed.fileno())

    def wake(self) -> None:
        """Undo `suspend`."""
        if self._handed.fileno() >= 0:
            self._loop.add_reader(self._handed.fileno(), self._on_readable)

    def hasten(self) -> None:
        """Nobody is held back here."""

    def close(self) -> None:
        """Whoever is still on the way is turned away."""
        self.suspend()
        with contextlib.suppress(OSError):
            self._handed.close()


def hand(to: socket.socket, connection: socket.socket) -> bool:
    """Give a connection to a worker, and up here; False if that worker takes no more."""
    try:
        socket.send_fds(to, [_WORD], [connection.fileno()])
    except OSError:  # it has too many waiting, or has just died
        return False
    connection.close()
    return True
