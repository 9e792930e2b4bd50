"""COPY at one shard, in a transaction that concerns several: its data pass as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator

from trunkline.execution.spread.asked import CopyIn
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.scatter import to_end
from trunkline.protocol.messages import message, query

QUEUED_BYTES = 262144  # that the server has not taken, above which the client has to wait
COPY_DONE = message(b"c", b"")


async def begin_copy(one: Participant, sql: bytes) -> CopyOutOfOne | CopyIntoOne:
    """The answer to a COPY; StatementFailed if it does not begin."""
    one.request(query(sql), ("query",))
    kind, body = await one.message()
    if kind == ord("H"):
        return CopyOutOfOne(one, message(b"H", body))
    if kind == ord("G"):
        return CopyIntoOne(one, message(b"G", body))
    await one.until_ready()
    raise as_error(body)


class CopyOutOfOne:
    """COPY TO STDOUT: the messages between CopyOutResponse and CopyDone, as they are."""

    def __init__(self, one: Participant, response: bytes) -> None:
        self._one = one
        self._response = response
        self._tag = b""

    async def rows(self) -> AsyncIterator[bytes]:
        """The whole of it."""
        yield self._response
        while run := await self._one.run_of(ord("d")):
            yield run
        kind, body = await self._one.message()
        if kind == ord("E"):
            await self._one.until_ready()
            raise as_error(body)
        yield COPY_DONE
        self._tag = await to_end(self._one)

    def tag(self) -> bytes:
        return self._tag


class CopyIntoOne(CopyIn):
    """COPY FROM STDIN."""

    def __init__(self, one: Participant, response: bytes) -> None:
        self._one = one
        self._response = response

    async def response(self) -> bytes:
        return self._response

    async def feed(self, messages: bytes) -> None:
        """Wait while the server does not take what it has; an error of its ends the COPY."""
        if self._goes_on:  # else it has failed: what comes is dropped, as PostgreSQL does
            self._one.send_copy(messages)
            await self._one.drained(QUEUED_BYTES)

    async def finish(self) -> bytes:
        if self._goes_on:
            self._one.send_copy(COPY_DONE, True)
        return await to_end(self._one)

    async def give_up(self, reason: bytes) -> None:
        if self._goes_on:
            self._one.send_copy(message(b"f", reason), True)
        await to_end(self._one)

    @property
    def _goes_on(self) -> bool:
        return self._one.server is None or self._one.server.session.mid_copy
