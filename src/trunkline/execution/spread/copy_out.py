"""COPY TO STDOUT of a sharded table: the rows of one shard behind those of another, with one header and one end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.copy_in import bodies
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end, united
from trunkline.protocol.messages import message, query
from trunkline.routing.spreading.writing_copy import CopyAll

COPY_DONE = message(b"c", b"")
_BINARY_HEADER = 19  # bytes: PostgreSQL writes no extension
BINARY_END = b"\xff\xff"


async def copy_out(program: CopyAll, asked: Asked, participants: Participants) -> CopyOutOfMany:
    """Begin it at every shard; StatementFailed if one of them does not."""
    people = await participants.at_all(asked.mask or 1 << asked.home)
    response, error = b"", None
    async with participants.one_snapshot(asked.mask):
        for one in people:
            one.request(query(program.sql), ("query",))
        for one in people:
            kind, body = await one.message()
            if kind == ord("H"):
                response = message(b"H", body)
            else:
                await one.until_ready()
                error = error or as_error(body)
    answer = CopyOutOfMany(program, people, response)
    if error is not None:
        for one in people:
            if one.running:
                await one.until_ready()
        raise error
    return answer


class CopyOutOfMany:
    """The messages between CopyOutResponse and CopyDone."""

    def __init__(self, program: CopyAll, people: Sequence[Participant], response: bytes) -> None:
        self._program = program
        self._people = people
        self._response = response
        self._head = b""  # which PostgreSQL sends with what comes first behind it
        self._tags: list[bytes] = []

    async def rows(self) -> AsyncIterator[bytes]:
        """The whole of it."""
        yield self._response
        for one in self._people:
            async for run in self._of(one, is_first=one is self._people[0]):
                yield run
        if self._program.is_binary:
            yield message(b"d", self._headed(BINARY_END))
        yield COPY_DONE

    async def _of(self, one: Participant, *, is_first: bool) -> AsyncIterator[bytes]:
        begun = False
        while run := await one.run_of(ord("d")):
            if self._program.is_binary or (self._program.header and not begun and not is_first):
                parts = [
                    self.part(body, begins=not begun and at == 0, is_first=is_first)
                    for at, body in enumerate(bodies(run))
                ]
                run = b"".join([message(b"d", self._headed(part)) for part in parts if part])
            begun = True
            if run:
                yield run
        kind, body = await one.message()
        if kind == ord("E"):
            await one.until_ready()
            raise as_error(body)
        self._tags.append(await to_end(one))

    def part(self, body: bytes, *, begins: bool, is_first: bool) -> bytes:
        """A message without what stands there once for all shards, of which the binary header is kept for `rows`."""
        if not self._program.is_binary:
            return b"" if begins else body
        head, row = (body[:_BINARY_HEADER], body[_BINARY_HEADER:]) if begins else (b"", body)
        if is_first and begins:
            self._head = head
        return b"" if row == BINARY_END else row

    def _headed(self, body: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + body

    def tag(self) -> bytes:
        return united(self._tags)
