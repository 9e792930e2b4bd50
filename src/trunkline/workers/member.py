"""One worker as its supervisor has it: a process, a channel, a socket for connections, and its load."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Self

from trunkline.workers import spawning
from trunkline.workers.channel import Arguments, Channel
from trunkline.workers.spreading import Load

POLL_S = 0.02

Serve = Callable[["Member", str, Arguments], Awaitable[Any]]


class Member:
    """From the start of its process to its end."""

    channel: Channel

    def __init__(self, number: int, process: subprocess.Popen[bytes], connections: socket.socket) -> None:
        self.number = number
        self.connections = connections
        self.load = Load()
        self.ready = False
        self.started_at = time.time()
        self._process = process

    @classmethod
    async def start(cls, what: spawning.Worker, serve: Serve, on_end: Callable[[Member], None]) -> Self:
        """Start the process, with sockets to it; it says `ready` when it serves. `on_end` is called when it is gone."""
        channel, its_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        connections, its_connections = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connections.setblocking(False)
        theirs = (its_channel.fileno(), its_connections.fileno())
        process = spawning.start(replace(what, channel=theirs[0], connections=theirs[1]), theirs)
        its_channel.close()
        its_connections.close()
        member = cls(what.number, process, connections)

        async def asked(verb: str, arguments: Arguments) -> Any:
            return await serve(member, verb, arguments)

        def ended() -> None:
            member.ready = False
            on_end(member)

        member.channel = await Channel.open(channel, asked, ended)
        return member

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self, limit_s: float) -> int:
        """The exit code; a process that takes longer than this to end is killed."""
        deadline = time.monotonic() + limit_s
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                self._process.kill()
            await asyncio.sleep(POLL_S)
        self.channel.close()
        self.connections.close()
        return code
