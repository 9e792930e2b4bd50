"""Accepting connections: a bounded number at a time, so that a storm of newcomers never starves those who are in."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from trunkline.config.global_settings import Settings
from trunkline.failpoints import failpoint
from trunkline.net.engine import Engine
from trunkline.net.sockets import close_listener, listen, tune
from trunkline.proxy.client import ClientLink
from trunkline.proxy.identity import Peer

log = logging.getLogger("trunkline.client")

ACCEPTS_A_TURN = 8
FULL_PAUSE_S = 0.2  # descriptors are used up: others must close before it makes sense to try again
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Reception:
    """What becomes of a connection that was accepted."""

    def __init__(self, engine: Engine, settings: Settings, welcome: Callable[[ClientLink, Peer], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._welcome = welcome

    def use(self, settings: Settings) -> None:
        """After a reload: how new connections are tuned."""
        self._settings = settings

    def take(self, connection: socket.socket, remote: object) -> None:
        """Make it a client's link."""
        try:
            connection.setblocking(False)
            tune(connection, self._settings)
            peer = Peer(remote, connection.getsockname())
        except OSError:  # it has gone already
            connection.close()
            return
        link = ClientLink(self._engine)
        failpoint("client_accepted")
        self._welcome(link, peer)
        link.attach(connection.detach())


class Entrance(Protocol):
    """Where connections come from: sockets of our own, or another process that accepts them."""

    sockets: list[socket.socket]

    @property
    def port(self) -> int:
        """The TCP port, also when the settings left the choice to the system."""

    def suspend(self) -> None:
        """New connections wait in the kernel until `wake`."""

    def wake(self) -> None:
        """Undo `suspend`."""

    def hasten(self) -> None:
        """`close` follows: whoever is on the way shall come now."""

    def close(self) -> None:
        """Nobody comes from now on."""


Take = Callable[[socket.socket, object], None]


class Listener:
    """All listening sockets of a process."""

    def __init__(
        self, settings: Settings, take: Take, sockets: list[socket.socket] | None = None, *, lent: bool = False
    ) -> None:
        """Those that are given were inherited; else they are made here. Lent ones keep their files."""
        self._lent = lent
        self._settings = settings
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._reserve = os.open(os.devnull, os.O_RDONLY)
        self._suspended = False
        self.sockets = listen(settings) if sockets is None else sockets
        for sock in self.sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    @property
    def port(self) -> int:
        """The TCP port, also when the settings left the choice to the system."""
        return port_of(self.sockets, self._settings)

    def _on_readable(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                connection, remote = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _FULL:
                    self._on_full(sock)
                return
            self._take(connection, remote)

    def _on_full(self, sock: socket.socket) -> None:
        """Turn one newcomer away with the reserve descriptor, then let the kernel queue the others for a while."""
        log.error("no file descriptor left: new connections wait (ulimit -n is too small for max_client_conn)")
        os.close(self._reserve)
        with contextlib.suppress(OSError):
            sock.accept()[0].close()
        self._reserve = os.open(os.devnull, os.O_RDONLY)
        self._loop.remove_reader(sock.fileno())
        self._loop.call_later(FULL_PAUSE_S, self._listen_again, sock)

    def _listen_again(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0 and not self._suspended:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def suspend(self) -> None:
        """New connections wait in the kernel until `wake`."""
        self._suspended = True
        for sock in self.sockets:
            self._loop.remove_reader(sock.fileno())

    def wake(self) -> None:
        """Undo `suspend`."""
        self._suspended = False
        for sock in self.sockets:
            self._listen_again(sock)

    def hasten(self) -> None:
        """Before `close`: the kernel holds nobody back until he says something."""
        for sock in self.sockets:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)

    def close(self) -> None:
        """New connections are refused by the kernel from now on; or another program on the port takes them."""
        if self._settings.so_reuseport:
            for sock in self.sockets:
                self._take_last(sock)
        self._leave(socket.socket.close if self._lent else close_listener)

    def _take_last(self, sock: socket.socket) -> None:
        """Who waits in the kernel would be reset, and nobody else on the port would hear of him."""
        with contextlib.suppress(OSError):
            for _ in range(self._settings.listen_backlog + 1):
                self._take(*sock.accept())

    def abandon(self) -> None:
        """Another process accepts what comes to these sockets."""
        self._leave(socket.socket.close)

    def _leave(self, part_with: Callable[[socket.socket], None]) -> None:
        for sock in self.sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
                part_with(sock)
        self.sockets = []
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1


def port_of(sockets: Iterable[socket.socket], settings: Settings) -> int:
    """The TCP port of listening sockets, or what the settings call the Unix socket by."""
    names = [sock.getsockname() for sock in sockets if sock.family != socket.AF_UNIX]
    return int(names[0][1]) if names else settings.listen_port
