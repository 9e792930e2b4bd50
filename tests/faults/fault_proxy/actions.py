"""What a fault does: one small class each, and the table of them all.

An action happens at a point of the stream: what was before it has been sent, what is behind it has not. Those that
shape or change what passes do so in the direction of the frame they met; those that end or hold a connection do so in
both directions.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tests.faults.fault_proxy.frames import SIDES, Side
from tests.integration.wire import CANCEL_REQUEST, untyped

if TYPE_CHECKING:
    from tests.faults.fault_proxy.conversation import Conversation
    from tests.faults.fault_proxy.flow import Flow
    from tests.faults.fault_proxy.proxy import FaultProxy

Whom = Literal["both", "client", "server"]
CANCEL_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Moment:
    """Where an action happens; ``kind`` is the type of the frame, empty when there was none."""

    proxy: FaultProxy
    conversation: Conversation
    flow: Flow
    kind: str


class Action:
    """Something that goes wrong."""

    name: ClassVar[str]
    lies: ClassVar[bool] = False
    """Changes what is said, so that even a faultless peer may believe something else than was meant."""
    kills: ClassVar[bool] = False
    """Needs a proxy that stands before PostgreSQL itself, and knows its backends' processes."""

    async def apply(self, moment: Moment) -> None:
        raise NotImplementedError


# --- the connection ends, or seems to go on -------------------------------------------------------------------------


@dataclass(frozen=True)
class Close(Action):
    """FIN."""

    whom: Whom = "both"
    name = "close"

    async def apply(self, moment: Moment) -> None:
        moment.conversation.close(self.whom)


@dataclass(frozen=True)
class Rst(Action):
    """RST; who does not get one hears of a FIN."""

    whom: Whom = "both"
    name = "rst"

    async def apply(self, moment: Moment) -> None:
        moment.conversation.reset(self.whom)


@dataclass(frozen=True)
class HalfClose(Action):
    """FIN to the receiver; the other direction goes on."""

    name = "half_close"

    async def apply(self, moment: Moment) -> None:
        moment.flow.end()


@dataclass(frozen=True)
class SlowClose(Action):
    """Nothing passes any more, and only ``ms`` later comes the FIN."""

    ms: float = 200
    name = "slow_close"

    async def apply(self, moment: Moment) -> None:
        moment.conversation.swallow()
        moment.proxy.spawn(self._close(moment))

    async def _close(self, moment: Moment) -> None:
        await asyncio.sleep(self.ms / 1000)
        moment.conversation.close("both")


@dataclass(frozen=True)
class Blackhole(Action):
    """Nothing passes any more, ends neither, and all stays open until the client itself gives up."""

    name = "blackhole"

    async def apply(self, moment: Moment) -> None:
        moment.conversation.holds = True
        moment.conversation.swallow()


@dataclass(frozen=True)
class Cut(Action):
    """After ``bytes`` more in this direction the connection is closed."""

    bytes: int = 1
    name = "cut"

    async def apply(self, moment: Moment) -> None:
        if self.bytes:
            moment.flow.shape.budget = self.bytes
        else:
            moment.conversation.close("both")


@dataclass(frozen=True)
class Down(Action):
    """New connections are refused for ``ms``; those there are go on."""

    ms: float = 200
    name = "down"

    async def apply(self, moment: Moment) -> None:
        moment.proxy.spawn(moment.proxy.down_for(self.ms / 1000))


# --- the connection is slow -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stall(Action):
    """This direction stands still for ``ms``."""

    ms: float = 200
    name = "stall"

    async def apply(self, moment: Moment) -> None:
        await asyncio.sleep(self.ms / 1000)


@dataclass(frozen=True)
class Delay(Action):
    """From now on all that is sent comes ``ms`` later, give or take ``jitter_ms``."""

    ms: float = 20
    jitter_ms: float = 0
    name = "delay"

    async def apply(self, moment: Moment) -> None:
        moment.flow.shape.delay_s = self.ms / 1000
        moment.flow.shape.jitter_s = self.jitter_ms / 1000


@dataclass(frozen=True)
class Rate(Action):
    """From now on no more than so many bytes a second."""

    bytes_per_s: float = 10_000
    name = "rate"

    async def apply(self, moment: Moment) -> None:
        moment.flow.shape.rate = self.bytes_per_s


@dataclass(frozen=True)
class Slice(Action):
    """From now on no more than so many bytes a segment."""

    bytes: int = 1
    name = "slice"

    async def apply(self, moment: Moment) -> None:
        moment.flow.shape.slice_bytes = self.bytes


# --- what is said is changed ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dup(Action):
    """The frame, from here on, is sent twice."""

    name = "dup"
    lies = True

    async def apply(self, moment: Moment) -> None:
        moment.flow.edit.twice = bytearray()


@dataclass(frozen=True)
class Drop(Action):
    """The frame, from here on, is lost."""

    name = "drop"
    lies = True

    async def apply(self, moment: Moment) -> None:
        moment.flow.edit.dropped = True


@dataclass(frozen=True)
class Inject(Action):
    """Bytes that nobody sent."""

    data: bytes = b"\0"
    name = "inject"
    lies = True

    async def apply(self, moment: Moment) -> None:
        await moment.flow.inject(self.data)


@dataclass(frozen=True)
class Flip(Action):
    """The next byte of the frame is changed by these bits."""

    bits: int = 1
    name = "flip"
    lies = True

    async def apply(self, moment: Moment) -> None:
        moment.flow.edit.flip = self.bits


# --- others do something at this moment -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Cancel(Action):
    """A CancelRequest with this connection's key, delivered before anything else passes here."""

    name = "cancel"

    async def apply(self, moment: Moment) -> None:
        whose = moment.conversation
        packet = untyped(CANCEL_REQUEST, struct.pack("!I", whose.pid) + whose.cancel_key)
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(*moment.proxy.target)
                try:
                    writer.write(packet)
                    await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return  # who cannot be reached cannot be canceled


@dataclass(frozen=True)
class Run(Action):
    """A function that is given the moment (awaited if it is a coroutine), or a command."""

    what: Callable[[Moment], Any] | Sequence[str]
    name = "run"

    async def apply(self, moment: Moment) -> None:
        if callable(self.what):
            result = self.what(moment)
            if inspect.isawaitable(result):
                await result
        else:
            process = await asyncio.create_subprocess_exec(*self.what)
            await process.wait()


@dataclass(frozen=True)
class Kill(Action):
    """kill -9 of the backend at the other end: PostgreSQL then restarts all of its processes."""

    number: ClassVar[signal.Signals] = signal.SIGKILL
    name = "kill"
    kills = True

    async def apply(self, moment: Moment) -> None:
        if not moment.proxy.before_postgres:
            raise ValueError("only a proxy that is made with before_postgres=True knows processes")
        try:
            if (Path("/proc") / str(moment.conversation.pid) / "comm").read_text().startswith("postgres"):
                os.kill(moment.conversation.pid, self.number)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has gone by itself


@dataclass(frozen=True)
class Terminate(Kill):
    """As ``pg_terminate_backend``: the server says 57P01 and closes."""

    number = signal.SIGTERM
    name = "terminate"


# --- all of them ----------------------------------------------------------------------------------------------------

ACTIONS: Mapping[str, Callable[[random.Random], Action]] = {
    "close": lambda chance: Close(chance.choice(WHOM)),
    "rst": lambda chance: Rst(chance.choice(WHOM)),
    "half_close": lambda chance: HalfClose(),
    "slow_close": lambda chance: SlowClose(chance.uniform(1, 200)),
    "blackhole": lambda chance: Blackhole(),
    "cut": lambda chance: Cut(chance.randrange(200)),
    "down": lambda chance: Down(chance.uniform(1, 200)),
    "stall": lambda chance: Stall(chance.uniform(1, 300)),
    "delay": lambda chance: Delay(chance.uniform(0, 20), chance.uniform(0, 10)),
    "rate": lambda chance: Rate(chance.uniform(20_000, 200_000)),
    "slice": lambda chance: Slice(chance.randrange(1, 50)),
    "dup": lambda chance: Dup(),
    "drop": lambda chance: Drop(),
    "inject": lambda chance: Inject(chance.randbytes(chance.randrange(1, 20))),
    "flip": lambda chance: Flip(chance.randrange(1, 256)),
    "cancel": lambda chance: Cancel(),
    "kill": lambda chance: Kill(),
    "terminate": lambda chance: Terminate(),
}
"""Every action but ``Run``, by name: makes one with arguments of the sizes that hurt."""

WHOM: Sequence[Whom] = ("both", "client", "server")

KINDS: Sequence[tuple[Side, str]] = [(side, name) for side in SIDES for name in ACTIONS]
"""Kinds of faults: what happens, and whose frame it happens at."""
