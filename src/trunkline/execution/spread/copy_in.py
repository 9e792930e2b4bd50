"""COPY FROM STDIN over several shards: the client's data, cut by copy_split.pyx, to a COPY at each shard.

Theory of operation. Data are gathered until there is a piece worth cutting; what each shard gets of it is sent, and no
more is asked of the client while a shard has much that it has not taken. When a shard fails, the others end with what
they have: so the error that is told is the one that one PostgreSQL would have met first, with the client's number of
its line. What is left of the data is dropped, as PostgreSQL does.

PostgreSQL reads many rows before it writes them, if no trigger and no default has to see each (CIM_MULTI in
copyfrom.c): then a duplicate is found behind whatever is wrong with a row that was read with it, and its CONTEXT has
not the row's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.refusals import not_mapped, refused
from trunkline.execution.spread.asked import Asked, CopyIn
from trunkline.execution.spread.copy_binary import BinarySplitter
from trunkline.execution.spread.copy_moments import Moments
from trunkline.execution.spread.copy_split import BINARY, CSV, TEXT, Splitter, Unsplit
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end, united
from trunkline.execution.spread.write import time_of
from trunkline.protocol.messages import message, query
from trunkline.routing.keys.sharding import KeyNotMapped, KeyUnknown
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.writing_copy import OTHER_ENCODING, CopyRows
from trunkline.shard_errors import StatementFailed

PIECE_BYTES = 32768  # of data that are cut at once
QUEUED_BYTES = 262144  # that a server has not taken, above which the client has to wait
COPY_DONE = message(b"c", b"")
FORMS = {"text": TEXT, "csv": CSV, "binary": BINARY}
_LINE = re.compile(rb"(COPY .+?, line )(\d+)(:|, column)?")
_OF_WRITTEN = ("23505", "23P01")  # unique_violation, exclusion_violation
_LAST = 1 << 62
Moment = tuple[int, bool, int]  # when an error is met: how often rows were written before, at the next time, which line
_AT_ONCE: Moment = (-1, False, 0)
_AT_LAST: Moment = (_LAST, False, 0)


async def copy_in(program: CopyRows, asked: Asked, participants: Participants) -> CopyIntoMany:
    """Begin it at every shard; StatementFailed if one of them does not."""
    await participants.begin()
    people = await participants.at_all(asked.mask)
    if people[0].translates and not program.says_encoding:
        raise refused(OTHER_ENCODING)
    sql = filled(program.text, await time_of(participants) if program.asks_time else b"")
    for one in people:
        one.request(query(sql), ("query",))
    response, error = b"", None
    for one in people:
        kind, body = await one.message()
        if kind == ord("G"):
            response = message(b"G", body)
        else:
            await one.until_ready()
            error = error or as_error(body)
    if error is not None:
        for one in people:
            if goes_on(one):
                one.send_copy(message(b"f", b"\0"), True)
                await one.until_ready()
        raise error
    assert asked.request is not None
    return CopyIntoMany(program, people, response, len(asked.request.sharding.shards), asked.mask)


class CopyIntoMany(CopyIn):
    """One COPY."""

    def __init__(
        self, program: CopyRows, people: Sequence[Participant], response: bytes, shards: int, mask: int
    ) -> None:
        home = program.home if mask >> program.home & 1 else people[0].shard
        make = BinarySplitter if program.form == "binary" else Splitter
        marks = program.delimiter, program.quote, program.escape
        moments = Moments(program.times, program.form == "csv", *marks) if program.times else None
        self._splitter = make(
            shards, home, FORMS[program.form], program.keys, program.place, program.ready,
            delimiter=program.delimiter, null=program.null, quote=program.quote, escape=program.escape,
            default=program.default, header=program.header, force_null=program.force_null,
            force_not_null=program.force_not_null, every=mask, csv_marker=program.csv_marker,
            moments=moments,
        )  # fmt: skip
        self._people = people
        self._response = response
        self._gathered: list[bytes] = []
        self._size = 0

    async def response(self) -> bytes:
        return self._response

    async def feed(self, messages: bytes) -> None:
        """More data; an error ends the COPY at every shard."""
        for body in bodies(messages):
            self._gathered.append(body)
            self._size += len(body)
        if self._size < PIECE_BYTES:
            return
        await self._cut()
        if not all(goes_on(one) for one in self._people):
            await self._end(COPY_DONE)
        for one in self._people:
            await one.drained(QUEUED_BYTES)

    async def finish(self) -> bytes:
        """All data are here."""
        await self._cut(last=True)
        return await self._end(COPY_DONE)

    async def give_up(self, reason: bytes) -> None:
        """CopyFail."""
        await self._cut()
        await self._end(message(b"f", reason))

    async def _cut(self, *, last: bool = False) -> None:
        data = b"".join(self._gathered)
        self._gathered, self._size = [], 0
        refusal: TrunklineError | None = None
        line = 0
        try:
            self._splitter.feed(data)
            if last:
                self._splitter.end()
        except Unsplit as found:
            line, refusal = found.line, StatementRefused(f"COPY over several shards does not read {found}")
        except KeyUnknown as found:
            line = self._splitter.line_of(-1, _LAST)
            refusal = StatementRefused(f"the shard of line {line} is not known: its key is {found}")
        except KeyNotMapped as found:
            line = self._splitter.line_of(-1, _LAST)
            error = not_mapped(found)
            refusal = (
                error if isinstance(error, TrunklineError) else StatementRefused(f"a key is not known yet: {found}")
            )
        for one in self._people:
            if (part := self._splitter.take(one.shard)) and goes_on(one):
                one.send_copy(part)
        if refusal is not None:
            await self._end(COPY_DONE, ((self._splitter.batch_of(line), False, line), refusal))

    async def _end(self, ending: bytes, refusal: tuple[Moment, TrunklineError] | None = None) -> bytes:
        """End it at every shard, and tell the error that one PostgreSQL would have met first."""
        for one in self._people:
            if goes_on(one):
                one.send_copy(ending, True)
        tags: list[bytes] = []
        errors = [refusal] if refusal is not None else []
        for one in self._people:
            try:
                tags.append(await to_end(one))
            except StatementFailed as error:
                errors.append(self.renumbered(one.shard, error))
            except TrunklineError as error:
                errors.append((_AT_ONCE, error))
        if errors:
            raise min(errors, key=lambda found: found[0])[1]
        return united(tags)

    def renumbered(self, shard: int, error: StatementFailed) -> tuple[Moment, TrunklineError]:
        """A shard's error with the client's number of its line; one without comes behind those with."""
        fields = error.said.split(b"\0")
        for place, field in enumerate(fields):
            found = _LINE.search(field) if field[:1] == b"W" else None
            if found is not None:
                line = self._splitter.line_of(shard, int(found[2]))
                fields[place] = field[: found.start(2)] + b"%d" % line + field[found.end(2) :]
                written = found[3] is None and error.sqlstate in _OF_WRITTEN
                return (self._splitter.batch_of(line), written, line), as_error(b"\0".join(fields))
        return _AT_LAST, error


def goes_on(one: Participant) -> bool:
    return one.server is not None and one.server.session.mid_copy


def bodies(messages: bytes) -> Iterator[bytes]:
    """The contents of whole CopyData messages."""
    at = 0
    while at < len(messages):
        end = at + 1 + int.from_bytes(messages[at + 1 : at + 5], "big")
        yield messages[at + 5 : end]
        at = end
