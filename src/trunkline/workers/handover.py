"""An upgrade: the program that is installed now is started with our listening sockets, and this one retires.

1. The successor is a process of its own: only when it has said that it serves do we stop accepting. If it does not come
   to that, it is ended, and nothing has changed here.
2. Both accept from the same sockets meanwhile, so no connection is refused, and none waits.
3. Clients stay where they are until they leave; what they want cancelled comes to the successor, which passes it on.
   A process that was itself a successor passes it on further, and stays until those before it are gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from trunkline import process
from trunkline.config.global_settings import Settings
from trunkline.errors import TrunklineError
from trunkline.net.sockets import close_listener, listen
from trunkline.net.tasks import Tasks
from trunkline.workers import spawning
from trunkline.workers.channel import Arguments, Channel, ChannelEnded

log = logging.getLogger("trunkline.workers")

START_S = 60.0
_CREDENTIALS = struct.Struct("3i")  # of SO_PEERCRED: process, user, group


class UpgradeFailed(TrunklineError):
    """The new program does not serve; the one that runs goes on."""

    code = "TL0514"
    sqlstate = "58000"


class Served(Protocol):
    """What is handed over: an instance, or the supervisor of several."""

    async def cancel_here(self, pid: int, key: bytes) -> bool:
        """Whether a client of ours has this key; returns when its server has heard."""

    def retire(self) -> None:
        """Take no newcomers from now on, and end when all clients have left, or upgrade_timeout is over."""


@dataclass(slots=True)
class Sockets:
    """What goes from one program to the next."""

    listening: list[socket.socket] = field(default_factory=list)
    metrics: socket.socket | None = None
    control: socket.socket | None = None
    lent: bool = False  # the listening ones are systemd's, whatever the settings say

    @classmethod
    def of(cls, what: spawning.Successor) -> Sockets:
        """What a successor inherits."""
        metrics, control = (spawning.adopt(number) if number >= 0 else None for number in (what.metrics, what.control))
        return cls([spawning.adopt(number) for number in what.listening], metrics, control, what.lent)

    def close(self) -> None:
        """Those that nobody has closed, since the start did not come so far."""
        for sock in self.listening:
            if sock.fileno() >= 0:
                sock.close() if self.lent else close_listener(sock)


def listening_at(settings: Settings, what: spawning.Successor | None) -> Sockets:
    """The sockets to serve with: inherited, of systemd's, or opened now; ConfigError if they cannot be had."""
    sockets = Sockets.of(what) if what is not None else Sockets(process.activated(os.environ))
    sockets.lent = sockets.lent or (what is None and bool(sockets.listening))
    if not sockets.lent:
        sockets.listening = listen(settings, sockets.listening)
    return sockets


class Handover:
    """One program's part in upgrades: as the successor of another one, as the predecessor of the next."""

    def __init__(self, served: Served, port: int, sockets: Sockets, abandon: Callable[[], None]) -> None:
        """`sockets` are those in use; `abandon` stops to use them and keeps them open for others."""
        self._served = served
        self._sockets = sockets
        self._abandon = abandon
        self._tasks = Tasks()
        self._channels: list[Channel] = []  # to who gave an order, and to the successor
        self.child: subprocess.Popen[bytes] | None = None
        self._elder: Channel | None = None
        self._elder_gone = asyncio.Event()
        self._elder_gone.set()
        self._lock = asyncio.Lock()
        self.retired = False
        self.control = sockets.control if sockets.control is not None else open_control(port)
        if self.control is not None:
            asyncio.get_running_loop().add_reader(self.control.fileno(), self._on_control)

    # --- as a successor -----------------------------------------------------------------------------------------

    async def follow(self, what: spawning.Successor) -> None:
        """Tell the predecessor that we serve."""
        self._elder_gone.clear()
        self._elder = await Channel.open(spawning.adopt(what.channel), self._serve_nobody, self._elder_gone.set)
        self._elder.tell("ready")

    async def _serve_nobody(self, verb: str, arguments: Arguments) -> Any:
        raise UpgradeFailed(f"a predecessor has nothing to ask, and not {verb}")

    async def cancel(self, pid: int, key: bytes) -> bool:
        """Whether a client of a predecessor has this key."""
        if self._elder is None:
            return False
        try:
            return bool(await self._elder.ask("cancel", pid=pid, key=key.hex()))
        except (ChannelEnded, TrunklineError):
            return False

    async def elders_gone(self) -> None:
        """Returns when no process is left that this one followed."""
        await self._elder_gone.wait()

    # --- as a predecessor ---------------------------------------------------------------------------------------

    async def upgrade(self) -> int:
        """Start the successor and retire; its process id. UpgradeFailed, and nothing changed, if it does not serve."""
        if self.retired or self._lock.locked():
            raise UpgradeFailed("an upgrade is under way")
        async with self._lock:
            ours, theirs = socket.socketpair()
            child = self.child = self._start(theirs)
            theirs.close()
            ready = asyncio.Event()
            over = asyncio.Event()
            channel = await Channel.open(ours, self._as_predecessor(ready), over.set)
            self._channels.append(channel)
            log.info("upgrade: started process %d", child.pid)
            if not await _first(self._tasks, ready, over):
                channel.close()
                await _end(child)
                raise UpgradeFailed("the new program did not start", hint="Its log says why; this one goes on.")
            log.info("upgrade: process %d serves, this one lets its clients finish", child.pid)
            self.retired = True
            process.notify(f"MAINPID={child.pid}")
            self._close_control()
            self._abandon()
            self._served.retire()
            return child.pid

    def _start(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        given = self._sockets
        listening = tuple(sock.fileno() for sock in given.listening)
        metrics = given.metrics.fileno() if given.metrics is not None else -1
        control = self.control.fileno() if self.control is not None else -1
        what = spawning.Successor(channel.fileno(), listening, metrics, control, given.lent)
        return spawning.start(what, [number for number in (what.channel, *listening, metrics, control) if number >= 0])

    def _as_predecessor(self, ready: asyncio.Event) -> Callable[[str, Arguments], Awaitable[Any]]:
        async def serve(verb: str, arguments: Arguments) -> Any:
            if verb == "ready":
                ready.set()
                return None
            pid, key = arguments["pid"], bytes.fromhex(arguments["key"])
            return await self._served.cancel_here(pid, key) or await self.cancel(pid, key)

        return serve

    # --- who orders it ------------------------------------------------------------------------------------------

    def _on_control(self) -> None:
        assert self.control is not None
        try:
            connection, _ = self.control.accept()
        except OSError:
            return
        _, user, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if user in (0, os.geteuid()):
            self._tasks.spawn(self._listen_to(connection), "control")
        else:
            connection.close()

    async def _listen_to(self, connection: socket.socket) -> None:
        self._channels.append(await Channel.open(connection, self._on_order))

    async def _on_order(self, verb: str, arguments: Arguments) -> Any:
        if verb == "upgrade":
            return {"former": os.getpid(), "pid": await self.upgrade()}
        raise UpgradeFailed(f"{verb} is not known here")

    def _close_control(self) -> None:
        if self.control is not None and self.control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.control.fileno())
            self.control.close()

    async def close(self) -> None:
        self._close_control()
        await self._tasks.cancel()
        for channel in (*self._channels, *((self._elder,) if self._elder is not None else ())):
            channel.close()


async def _first(tasks: Tasks, wanted: asyncio.Event, feared: asyncio.Event) -> bool:
    """Whether the wanted comes before the feared, and in time."""
    waiting = [tasks.spawn(event.wait(), "upgrade") for event in (wanted, feared)]
    await asyncio.wait(waiting, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return wanted.is_set()


async def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    while process.poll() is None:  # noqa: ASYNC110 - it has been killed
        await asyncio.sleep(0.01)


def control_name(port: int, user: int) -> str:
    """Where a running program takes orders from its own user and from root: no file, so nothing is ever left over."""
    return f"\0trunkline/{user}/{port}"


def open_control(port: int) -> socket.socket | None:
    """The socket for orders; None if another program on this port has it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(control_name(port, os.geteuid()))
        sock.listen(8)
        sock.setblocking(False)
    except OSError:
        sock.close()
        log.info("another program takes the orders for port %d: this one cannot be upgraded", port)
        return None
    return sock


async def order_upgrade(port: int, user: int, told: Callable[[str], None]) -> None:
    """What `trunkline upgrade` does: order it, and wait until the former program has ended. UpgradeFailed."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(control_name(port, user))
    except OSError as error:
        sock.close()
        raise UpgradeFailed(f"no program of this user takes orders for port {port}: {error.strerror}") from None
    over = asyncio.Event()

    async def nothing(verb: str, arguments: Arguments) -> None:
        """It asks nothing of us."""

    channel = await Channel.open(sock, nothing, over.set)
    try:
        answer = await channel.ask("upgrade")
        told(f"process {answer['pid']} serves; process {answer['former']} lets its clients finish")
        await over.wait()
        told(f"process {answer['former']} has ended")
    except ChannelEnded:
        raise UpgradeFailed("the program has ended instead") from None
    finally:
        channel.close()
