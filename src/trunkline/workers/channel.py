"""What two of our own processes say to each other: requests, answers and news, over one socket that both inherited.

Contract: an answer, or the error that was raised there, comes to who asked; when the socket ends, so does all that is
being waited for (ChannelEnded), and `on_end` is called, once. Messages are JSON behind their length.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from trunkline.errors import TrunklineError
from trunkline.net.tasks import Tasks

log = logging.getLogger("trunkline.workers")

Arguments: TypeAlias = dict[str, Any]
Serve: TypeAlias = Callable[[str, Arguments], Awaitable[Any]]
"""From a verb and its arguments to the answer; what it raises as a TrunklineError is raised at the other end."""

_LENGTH = struct.Struct("!I")
_TOLD, _ASKED, _ANSWERED, _REFUSED = range(4)


class ChannelEnded(Exception):
    """The other process is gone, or does not listen any more."""


class Refused(TrunklineError):
    """An error of another process, told here."""

    def __init__(self, sqlstate: str, message: str, detail: str | None, hint: str | None) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.sqlstate = sqlstate


class Channel(asyncio.Protocol):
    """One end; `open` makes it."""

    def __init__(self, serve: Serve, on_end: Callable[[], None]) -> None:
        self._serve = serve
        self._on_end = on_end
        self._tasks = Tasks()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self.ended = False

    @classmethod
    async def open(cls, sock: socket.socket, serve: Serve, on_end: Callable[[], None] = lambda: None) -> Channel:
        """Talk over this socket, which is the channel's from now on."""
        sock.setblocking(False)
        _, channel = await asyncio.get_running_loop().connect_accepted_socket(lambda: cls(serve, on_end), sock)
        return channel

    def tell(self, verb: str, /, **arguments: Any) -> None:
        """Say something that needs no answer; nothing happens when nobody is there any more."""
        self._send(_TOLD, 0, verb, arguments)

    async def ask(self, verb: str, /, **arguments: Any) -> Any:
        """The answer; ChannelEnded, or the TrunklineError that was raised there."""
        if self.ended:
            raise ChannelEnded
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send(_ASKED, number, verb, arguments)
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    def close(self) -> None:
        """End it; what was said before is still sent."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, kind: int, number: int, *content: Any) -> None:
        if self._transport is None or self.ended:
            return
        body = json.dumps((kind, number, *content)).encode()
        self._transport.write(_LENGTH.pack(len(body)) + body)

    # --- the transport's ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while len(received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received)
            end = _LENGTH.size + length
            if len(received) < end:
                return
            message = json.loads(received[_LENGTH.size : end])
            del received[:end]
            self._on_message(*message)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ChannelEnded())
                answer.exception()  # nobody may be left to wait for it
        self._on_end()

    def _on_message(self, kind: int, number: int, *content: Any) -> None:
        if kind in (_TOLD, _ASKED):
            self._tasks.spawn(self._on_request(kind, number, *content), f"channel: {content[0]}")
            return
        answer = self._asked.get(number)
        if answer is None or answer.done():
            return
        if kind == _ANSWERED:
            answer.set_result(content[0])
        else:
            answer.set_exception(Refused(*content))

    async def _on_request(self, kind: int, number: int, verb: str, arguments: Arguments) -> None:
        reply: tuple[Any, ...]
        try:
            reply = (_ANSWERED, number, await self._serve(verb, arguments))
        except TrunklineError as error:
            reply = (_REFUSED, number, error.sqlstate, error.message, error.detail, error.hint)
        except ChannelEnded:  # a third process is gone, which was to answer
            reply = (_REFUSED, number, "58000", "a process of this instance has ended", None, None)
        except Exception:
            log.exception("internal error in %s", verb)
            reply = (_REFUSED, number, "XX000", "internal error in another process of this instance", None, None)
        if kind == _ASKED:
            self._send(*reply)
