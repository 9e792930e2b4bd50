"""Writes over several shards: in a transaction at each of them, done before the client hears of it.

Theory of operation. Every shard is asked before any answer is taken. What RETURNING gives is kept, on disk if there is
much of it, until all shards have done their part: a client that takes some of the rows only has written all of them
(PORTAL_ONE_RETURNING in pquery.c). An error at one shard is the statement's, once the others have ended too; outside a
block the transaction is then rolled back at all of them, in it the block has failed.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.refusals import not_mapped
from trunkline.execution.spread.asked import Answer, Asked, CopyIn
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.bringing import HEADER_BYTES, in_their_encoding, only_shard, shard_of
from trunkline.execution.spread.description import Field
from trunkline.execution.spread.own_types import anywhere, differ, may_agree
from trunkline.execution.spread.participant import Participant, values_of
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end, to_rows, united
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped, KeyUnknown
from trunkline.routing.keys.written import to_text
from trunkline.routing.plans.plan import Fixed
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.writing_alone import Alone
from trunkline.routing.spreading.writing_everywhere import Everywhere
from trunkline.routing.spreading.writing_insert import Rows
from trunkline.routing.text.tokens import tokens_of
from trunkline.shard_errors import CopiesDiffer, NotInBlock, StatementFailed

IN_MEMORY_BYTES = 16 << 20  # of rows that are kept
_COMPUTED = -1  # the shard of a row whose key a server is to compute
_TIME = (
    b"SELECT (pg_catalog.date_part('epoch', pg_catalog.now() - timestamptz '2000-01-01 00:00+00')"
    b" OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8"
)


class Done:
    """The answer of a write that is done: rows that were kept, and a tag."""

    def __init__(self) -> None:
        self.tags: list[bytes] = []
        self.others: list[tuple[Participant, Sequence[Field]]] = []  # who has other numbers for types of users
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the answer
        weakref.finalize(self, self._file.close)
        self._sizes: list[int] = []

    def keep(self, run: bytes) -> None:
        """Whole DataRow messages."""
        self._file.write(run)
        self._sizes.append(len(run))

    async def rows(self) -> AsyncIterator[bytes]:
        """All that was kept, in order."""
        self._file.seek(0)
        for size in self._sizes:
            yield self._file.read(size)

    def tag(self) -> bytes:
        return united(self.tags)


async def whole(answer: Answer | CopyIn) -> Done:
    """All of an answer, before the client hears of any."""
    assert not isinstance(answer, CopyIn)
    if isinstance(answer, Done):
        return answer
    done = Done()
    async for run in answer.rows():
        done.keep(run)
    done.tags.append(answer.tag())
    return done


@dataclass(slots=True)
class Part:
    """What one shard does: a text, and the places of its rows among all rows of VALUES."""

    one: Participant
    text: bytes
    places: Sequence[int] = ()
    bound: bool = False  # it has said so already
    failed: bool = False


async def alone(program: Alone, asked: Asked, participants: Participants) -> Done:
    """The same text at each shard concerned."""
    await participants.begin()
    people = await participants.at_all(asked.mask or 1 << asked.home)
    text = filled(program.text, await time_of(participants) if program.asks_time else b"")
    parts = [Part(one, text) for one in people]
    done = Done()
    for part in parts:
        ask(asked, part)
    await all_of(asked, parts, done)
    return done


async def everywhere(program: Everywhere, asked: Asked, participants: Participants) -> Done:
    """The same at one shard after the other; the answer is the first one's."""
    if program.in_block and not participants.in_transaction:
        raise NotInBlock(f"{program.in_block} can only be used in transaction blocks")
    await participants.begin()
    home = await participants.at(asked.home)
    time = await time_of(participants) if program.asks_time else b""
    text = filled(program.text, time)
    done = Done()
    ask(asked, Part(home, text))
    await all_of(asked, [Part(home, text)], done)
    await _besides(program, home)
    home.pool.code.looked_at = 0.0  # it may be code
    others = [one for one in await participants.at_all(asked.mask) if one is not home]
    for one in others:
        copy = Done()
        ask(asked, Part(one, text))
        await all_of(asked, [Part(one, text)], copy)
        await _besides(program, one)
        if program.copies:
            compare_copies(one, copy, done)
        one.notices.clear()  # the home shard has said so
    return done


async def _besides(program: Everywhere, one: Participant) -> None:
    told = len(one.notices)
    for text in program.besides:
        await one.ask(text)
    del one.notices[told:]


def compare_copies(one: Participant, copy: Done, done: Done) -> None:
    """CopiesDiffer if a shard has done something else to its copy of a reference table than the home shard."""
    if copy.tags != done.tags:
        raise CopiesDiffer(
            f"shard {one.pool.database} answers {copy.tag().decode()}, and the home shard {done.tag().decode()}"
        )


async def insert(program: Rows, asked: Asked, participants: Participants) -> Done:
    """Each row at its shard; where rows of several shards are wrong, PostgreSQL tells of the first."""
    shards = _shards_of(program, asked)
    again = not any(participants) and not participants.in_transaction
    await participants.begin()
    if program.keys is not None:
        computed = iter(await _computed(program, program.keys, asked, participants))
        shards = [next(computed) if row.computed is not None else shard
                  for row, shard in zip(program.rows, shards, strict=True)]  # fmt: skip
    mask = sum(1 << shard for shard in set(shards))
    people = await participants.at_all(mask)
    time = await time_of(participants) if program.asks_time else b""
    if program.in_turn:
        return await _in_turn(program, asked, shards, people, time)
    parts = []
    for one in people:
        places = [place for place, found in enumerate(shards) if found == one.shard]
        parts.append(Part(one, _text_of(program, places, time), places))
        ask(asked, parts[-1])
    done = Done()
    try:
        await (in_order(asked, parts, shards, done) if program.returns else all_of(asked, parts, done))
    except StatementFailed:
        if not again or sum(part.failed for part in parts) < 2:
            raise
        await participants.rollback()
        await participants.begin()
        await participants.will_write(mask)
        return await _in_turn(program, asked, shards, await participants.at_all(mask), time)
    return done


async def _in_turn(
    program: Rows, asked: Asked, shards: Sequence[int], people: Sequence[Participant], time: bytes
) -> Done:
    """One row behind the other, or those next to each other that are for one shard."""
    done, at = Done(), {one.shard: one for one in people}
    for places in _neighbours(shards):
        part = Part(at[shards[places[0]]], _text_of(program, places, time), places)
        ask(asked, part)
        await all_of(asked, [part], done)
    return done


async def _computed(program: Rows, keys: bytes, asked: Asked, participants: Participants) -> list[int]:
    """The shards of the rows whose keys a server has to compute; the first one's, so that all are leased in order."""
    one = next(iter(participants), None) or await participants.at(0)
    in_their_encoding(one)
    types = anywhere(asked.described.parameters or asked.types)
    one.request(asked_of(keys, types, asked.formats, asked.values, (1,), parameters_in(keys)), REQUESTS)
    fields = await to_rows(one, (), agrees=lambda found, expected: True)
    row = await one.run_of_rows()
    await to_end(one)
    nowhere = program.nowhere.mask if isinstance(program.nowhere, Fixed) else program.function.every
    given = zip(values_of(row[HEADER_BYTES:]), fields, strict=True)
    return [shard_of(program.function, nowhere, [value], [field.type]) for value, field in given]


async def time_of(participants: Participants) -> bytes:
    """The time of the transaction, as a timestamptz: that of the shard that has taken part for longest."""
    first = next(iter(participants))
    ((text,),) = await first.ask(_TIME)
    assert text is not None
    return to_text(int(text), "timestamptz").encode()


# --- rows and their shards --------------------------------------------------------------------------------------------


def _shards_of(program: Rows, asked: Asked) -> list[int]:
    assert asked.call is not None
    try:
        masks = program.shards(asked.call)
    except KeyUnknown as reason:
        raise StatementRefused(
            f"the shard of a row is not known: its key is {reason}", hint="Give the key in another form."
        ) from None
    except KeyMissing:
        raise
    except KeyNotMapped as reason:
        error = not_mapped(reason)
        assert isinstance(error, StatementRefused)
        raise error from None
    rows = zip(program.rows, masks, strict=True)
    return [only_shard(mask) if row.computed is None else _COMPUTED for row, mask in rows]


def _neighbours(shards: Sequence[int]) -> list[list[int]]:
    """The places of rows next to each other that lie on one shard."""
    found: list[list[int]] = []
    for place, shard in enumerate(shards):
        if found and shards[found[-1][0]] == shard:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def _text_of(program: Rows, places: Sequence[int], time: bytes) -> bytes:
    rows = b", ".join([filled(program.rows[place].text, time) for place in places])
    return filled(program.head, time) + rows + filled(program.tail, time)


# --- asking -----------------------------------------------------------------------------------------------------------


def ask(asked: Asked, part: Part) -> None:
    """Its answer is taken later (`all_of`)."""
    types = anywhere(asked.described.parameters or asked.types)
    mentioned = parameters_in(part.text) if asked.values else None
    frames = asked_of(part.text, types, asked.formats, asked.values, asked.result_formats, mentioned)
    part.one.request(frames, REQUESTS)


def parameters_in(sql: bytes) -> Collection[int]:
    """The numbers of the parameters in a text."""
    return {int(sql[start + 1 : end]) for kind, start, end in tokens_of(sql) if kind == "parameter"}


async def all_of(asked: Asked, parts: Sequence[Part], done: Done) -> None:
    """The rows of one shard behind those of another."""
    errors: list[tuple[int, TrunklineError]] = []
    for part in parts:
        try:
            expected = asked.described.fields
            fields = await to_rows(part.one, expected, bound=part.bound, agrees=may_agree)
            if differ(fields, expected or ()):
                done.others.append((part.one, fields))
            while run := await part.one.run_of_rows():
                if not errors:
                    done.keep(run)
            done.tags.append(await to_end(part.one))
        except TrunklineError as error:
            part.failed = True
            errors.append((part.places[0] if part.places else part.one.shard, error))
    if errors:
        raise min(errors, key=lambda found: found[0])[1]


async def in_order(asked: Asked, parts: Sequence[Part], shards: Sequence[int], done: Done) -> None:
    """The rows of all shards in the order in which they were written in VALUES."""
    taken: dict[int, Done] = {}
    own: dict[int, AsyncIterator[bytes]] = {}
    for part in parts:
        taken[part.one.shard] = Done()
    errors: list[tuple[int, TrunklineError]] = []
    for part in parts:
        try:
            await all_of(asked, [part], taken[part.one.shard])
            done.tags += taken[part.one.shard].tags
            done.others += taken[part.one.shard].others
        except TrunklineError as error:
            errors.append((part.places[0], error))
    if errors:
        raise min(errors, key=lambda found: found[0])[1]
    for part in parts:
        own[part.one.shard] = _one_by_one(taken[part.one.shard])
    for shard in shards:
        row = await anext(own[shard], b"")
        if not row:
            raise StatementRefused(
                "a shard has left out a row that it inserted, so the order of RETURNING is not known"
            )
        done.keep(row)


async def _one_by_one(done: Done) -> AsyncIterator[bytes]:
    async for run in done.rows():
        for row in rows_in(run):
            yield row


def rows_in(run: bytes) -> Iterator[bytes]:
    """The messages of a run, one by one."""
    at = 0
    while at < len(run):
        end = at + 1 + int.from_bytes(run[at + 1 : at + 5], "big")
        yield run[at:end]
        at = end
