"""Scatter: one text at several shards at once, and their rows as one answer.

Theory of operation. All shards are asked before any answer is taken; a shard whose rows are not wanted yet is not read
(participant.pyx), so memory is bounded whatever they have. The first error is the answer's: the others are stopped, and
what they still say is taken to its end, or ends with the lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.description import Field, fields_of
from trunkline.execution.spread.participant import Participant, as_error

Agrees = Callable[[Sequence[Field], Sequence[Field]], bool]


def stop_running(participants: Iterable[Participant]) -> list[asyncio.Task[None]]:
    """Cancel what these are doing; the tasks end when their servers have heard."""
    running = [(one.pool, one.server) for one in participants if one.running and one.server is not None]
    return [pool.pools.cancel(pool, server) for pool, server in running]


class Scatter:
    """One call of one text at these participants; the answer is the concatenation."""

    def __init__(
        self, asked: Asked, sql: bytes, participants: Sequence[Participant], agrees: Agrees | None = None
    ) -> None:
        self._asked = asked
        self._agrees = agrees
        self._participants = participants
        self._tags: list[bytes] = []
        self._bound = False
        flushes = len(participants) > 1
        frames = asked_of(sql, asked.types, asked.formats, asked.values, asked.result_formats, flushes=flushes)
        for one in participants:
            one.request(frames, REQUESTS)

    async def bound(self) -> None:
        """Until each shard has taken its snapshot, or failed before."""
        for one in self._participants:
            await until_bound(one)
        self._bound = True

    async def rows(self) -> AsyncIterator[bytes]:
        """Of one shard after those of another."""
        for one in self._participants:
            await to_rows(one, self._asked.described.fields, bound=self._bound, agrees=self._agrees)
            while run := await one.run_of_rows():
                yield run
            self._tags.append(await to_end(one))

    def whole(self, parts: Sequence[bytes], tags: Sequence[bytes]) -> tuple[bytes, bytes]:
        """The rows and the tag, from the whole answers of the shards."""
        return b"".join(parts), united(tags)

    def tag(self) -> bytes:
        return united(self._tags)


async def until_bound(one: Participant) -> None:
    """Its snapshot is taken; StatementFailed if an error comes instead."""
    while True:
        kind, body = await one.message()
        if kind == ord("2"):
            return
        if kind == ord("E"):
            await one.until_ready()
            error = as_error(body)
            error.at_bind = True
            raise error


async def to_rows(
    one: Participant, expected: Sequence[Field] | None, *, bound: bool = False, agrees: Agrees | None = None
) -> tuple[Field, ...]:
    """Up to the first row: its columns. StatementFailed if there is an error, StatementRefused if they are others."""
    while True:
        kind, body = await one.message()
        bound |= kind == ord("2")
        if kind == ord("E"):
            await one.until_ready()
            error = as_error(body)
            error.at_bind = not bound
            raise error
        if kind == ord("n") and expected is None:
            return ()
        if kind == ord("T"):
            found = fields_of(body)
            if expected is None or not (agrees or agree)(found, expected):
                await one.until_ready()
                detail = f"Shard {one.pool.database} has other columns for it than another shard."
                raise StatementRefused("the shards do not agree on the columns of the answer", detail=detail)
            return found
        if kind == ord("n"):
            await one.until_ready()
            raise StatementRefused("the shards do not agree on the columns of the answer")


def agree(found: Sequence[Field], expected: Sequence[Field]) -> bool:
    """Whether these are the same columns, in whichever tables they are."""
    return [(one.name, one.type, one.modifier) for one in found] == [
        (one.name, one.type, one.modifier) for one in expected
    ]


async def to_end(one: Participant) -> bytes:
    """Behind the last row: its command tag, once it is ready. StatementFailed if it ended in an error."""
    tag, error = b"", None
    while True:
        kind, body = await one.message()
        if kind == ord("C"):
            tag = body.rstrip(b"\0")
        elif kind == ord("E") and error is None:
            error = as_error(body)
        elif kind == ord("Z"):
            break
    if error is not None:
        raise error
    return tag


def united(tags: Sequence[bytes]) -> bytes:
    """One tag for several shards: rows are summed."""
    words = tags[0].split()
    if words and words[-1].isdigit():
        total = sum(int(tag.split()[-1]) for tag in tags)
        return b" ".join([*words[:-1], b"%d" % total])
    return tags[0]
