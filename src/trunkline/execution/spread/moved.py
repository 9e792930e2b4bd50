"""Rows that an UPDATE gives another key are moved to the shard that this belongs to.

Theory of operation. The UPDATE runs at all shards concerned, and says of each row where it is now and its key. Then the
rows that belong elsewhere are deleted, which returns them whole, and inserted there. They are ours: nobody else
changes them before we commit.

Rule: writers are kept away from the table at these shards from before the UPDATE on. One that waited for a row of it
would find it gone, and never look for it at its new shard. Locks are taken in the order of the shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.bringing import HEADER_BYTES, array_of, in_their_encoding, shard_of
from trunkline.execution.spread.description import Field, fields_of
from trunkline.execution.spread.gather_fill import plainly
from trunkline.execution.spread.own_types import anywhere, differ, may_agree
from trunkline.execution.spread.participant import Participant, as_error, values_of
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end
from trunkline.execution.spread.write import Done, parameters_in, rows_in, time_of
from trunkline.protocol.messages import data_row, format_of
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.quoting import identifier, literal
from trunkline.routing.spreading.writing_moved import Moved

_TEXT, _BINARY = 0, 1
_PLACES = 2  # of what is returned before the key: of which table, and where


@dataclass(slots=True)
class Leaving:
    """Rows of one shard that belong to another: where they are."""

    shard: int
    places: dict[tuple[bytes, int], list[bytes]] = field(default_factory=dict)  # by table and new shard


async def moved(program: Moved, asked: Asked, participants: Participants) -> Done:
    """Update, and move."""
    await participants.begin()
    people = await participants.at_all(asked.mask or 1 << asked.home)
    in_their_encoding(people[0])
    for one in people:
        await one.ask(f"LOCK TABLE {program.target} IN EXCLUSIVE MODE".encode())
    text = filled(program.text, await time_of(participants) if program.asks_time else b"")
    done = Done()
    leaving = await _updated(program, asked, people, text, done)
    columns = await _columns(people[0], program)
    for found in leaving:
        for (table, shard), places in found.places.items():
            rows = await _taken_out(program, await participants.at(found.shard), table, places)
            await _put_in(program, await participants.at(shard), columns, rows)
    return done


async def _updated(
    program: Moved, asked: Asked, people: Sequence[Participant], text: bytes, done: Done
) -> list[Leaving]:
    """The client's UPDATE; its answer is kept."""
    shown = len(asked.described.fields or ())
    formats = [format_of(asked.result_formats, place) for place in range(shown)]
    formats += [_TEXT] * _PLACES + [_BINARY] * len(program.key)
    types = anywhere(asked.described.parameters or asked.types)
    mentioned = parameters_in(text) if asked.values else None
    frames = asked_of(text, types, asked.formats, asked.values, formats, mentioned)
    for one in people:
        one.request(frames, REQUESTS)
    found, errors = [], []
    for one in people:
        leaving = Leaving(one.shard)
        try:
            await _answer(program, asked, one, leaving, done)
            found.append(leaving)
        except TrunklineError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return found


async def _answer(program: Moved, asked: Asked, one: Participant, leaving: Leaving, done: Done) -> None:
    """What one shard says."""
    shown = asked.described.fields or ()
    refusal: TrunklineError | None = None
    bound = False
    fields: Sequence[Field] = ()
    while not fields:
        kind, body = await one.message()
        bound |= kind == ord("2")
        if kind == ord("E"):
            await one.until_ready()
            error = as_error(body)
            error.at_bind = not bound
            raise error
        if kind == ord("T"):
            fields = fields_of(body)
    if differ(fields[: len(shown)], shown):
        done.others.append((one, fields[: len(shown)]))
    if not may_agree(fields[: len(shown)], shown):
        refusal = StatementRefused("the shards do not agree on the columns of the answer")
    keys = fields[len(shown) + _PLACES :]
    while run := await one.run_of_rows():
        for row in rows_in(run):
            values = values_of(row[HEADER_BYTES:])
            if asked.described.fields is not None:
                done.keep(data_row(values[: len(shown)]))
            try:
                note(program, keys, values[len(shown) :], leaving)
            except TrunklineError as error:
                refusal = refusal or error
    done.tags.append(await to_end(one))
    if refusal is not None:
        raise refusal


def note(program: Moved, keys: Sequence[Field], values: Sequence[bytes | None], leaving: Leaving) -> None:
    """Of a row by its table, its place and its key."""
    table, place, *key = values
    assert table is not None and place is not None
    shard = shard_of(program.function, program.nowhere, key, [one.type for one in keys])
    if shard != leaving.shard:
        leaving.places.setdefault((table, shard), []).append(place)


# --- from one shard to another ---------------------------------------------------------------------------------------


async def _columns(one: Participant, program: Moved) -> tuple[str, ...]:
    """Those that are given values: all but what PostgreSQL computes itself, identities among them."""
    columns = program.relation.columns
    computed: set[str] = set()
    if any(column.generated for column in columns):
        named = f"{literal(program.target)}::pg_catalog.regclass"
        rows = await one.ask(
            f"SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = {named} AND attgenerated <> ''".encode()
        )
        computed = {(name or b"").decode() for (name,) in rows}
    return tuple(column.name for column in columns if column.name not in computed)


async def _taken_out(program: Moved, one: Participant, table: bytes, places: Sequence[bytes]) -> list[bytes]:
    """The rows at these places, whole, as texts that mean the same everywhere."""
    every = ", ".join(identifier(column.name) for column in program.relation.columns)
    array = literal(array_of(places).decode())
    there = f"tableoid = {int(table)}::pg_catalog.oid AND ctid = ANY ({array}::pg_catalog.tid[])"
    back = await plainly(one)
    rows = await one.ask(f"DELETE FROM {program.target} WHERE {there} RETURNING ROW({every})::pg_catalog.text".encode())
    await one.ask(back)
    if len(rows) != len(places):
        raise StatementRefused("rows that were to be moved to another shard are not where they were")
    return [row or b"" for (row,) in rows]


async def _put_in(program: Moved, one: Participant, columns: Sequence[str], rows: Sequence[bytes]) -> None:
    names = ", ".join(map(identifier, columns))
    given = ", ".join(f"r.{identifier(name)}" for name in columns)
    sql = f"INSERT INTO {program.target} ({names}) OVERRIDING SYSTEM VALUE SELECT {given}"
    sql += f" FROM pg_catalog.unnest($1::{program.target}[]) AS r"
    one.request(asked_of(sql.encode(), (0,), (_TEXT,), (array_of(rows),), ()), REQUESTS)
    await to_end(one)
