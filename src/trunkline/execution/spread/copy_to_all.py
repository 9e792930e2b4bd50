"""COPY FROM STDIN into a reference table: each shard gets all of the data, and has to make as many rows of them."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.errors import TrunklineError
from trunkline.execution.spread.asked import Asked, CopyIn
from trunkline.execution.spread.copy_in import COPY_DONE, QUEUED_BYTES, goes_on
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end
from trunkline.protocol.messages import message, query
from trunkline.routing.spreading.writing_copies import CopyToAll
from trunkline.shard_errors import CopiesDiffer

_GIVEN_UP = message(b"f", b"\0")


async def copy_to_all(program: CopyToAll, asked: Asked, participants: Participants) -> CopyIntoAll:
    """Begin it at the home shard, where two writers meet, and then at the others."""
    await participants.begin()
    home = await participants.at(asked.home)
    begun: list[Participant] = []
    response = b""
    for one in (home, *(one for one in await participants.at_all(asked.mask) if one is not home)):
        one.request(query(program.sql), ("query",))
        kind, body = await one.message()
        if kind != ord("G"):
            await one.until_ready()
            for other in begun:
                other.send_copy(_GIVEN_UP, True)
                await other.until_ready()
            raise as_error(body)
        begun.append(one)
        response = response or message(b"G", body)
    return CopyIntoAll(begun, response)


class CopyIntoAll(CopyIn):
    """One COPY; the first of its participants speaks for all."""

    def __init__(self, people: Sequence[Participant], response: bytes) -> None:
        self._people = people
        self._response = response

    async def response(self) -> bytes:
        return self._response

    async def feed(self, messages: bytes) -> None:
        """More data; an error ends the COPY at every shard."""
        if not all(goes_on(one) for one in self._people):
            await self._end(_GIVEN_UP)
        for one in self._people:
            if goes_on(one):
                one.send_copy(messages)
        for one in self._people:
            await one.drained(QUEUED_BYTES)

    async def finish(self) -> bytes:
        """All data are here."""
        return await self._end(COPY_DONE)

    async def give_up(self, reason: bytes) -> None:
        """CopyFail."""
        await self._end(message(b"f", reason))

    async def _end(self, ending: bytes) -> bytes:
        for one in self._people:
            if goes_on(one):
                one.send_copy(ending, True)
        tags: list[bytes] = []
        errors: list[TrunklineError] = []
        for one in self._people:
            try:
                tags.append(await to_end(one))
            except TrunklineError as error:
                errors.append(error)
        if errors:
            raise next((error for error in errors if error.sqlstate != "57014"), errors[0])
        if len(set(tags)) > 1:
            raise CopiesDiffer("the shards have taken different numbers of rows of this COPY")
        return tags[0]
