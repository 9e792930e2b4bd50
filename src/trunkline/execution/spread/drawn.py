"""Statements for which ids are drawn first: what is said of them, how many they need, and how they run then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import CopyIn
from trunkline.execution.spread.binding import REQUESTS, asked_of
from trunkline.execution.spread.calls import Begun, Statement
from trunkline.execution.spread.copy_numbered import NumberedCopy
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import Description, Field
from trunkline.execution.spread.ids import with_slots
from trunkline.execution.spread.scatter import to_end, to_rows
from trunkline.execution.spread.write import parameters_in
from trunkline.routing.spreading.drawing_again import place_in
from trunkline.routing.spreading.drawing_slots import INT8, CopyIds, Drawing
from trunkline.shard_errors import StatementFailed

if TYPE_CHECKING:
    from trunkline.execution.spread.conductor import Conductor
    from trunkline.execution.spread.participant import Participant
    from trunkline.execution.spread.studies import Study

_COUNT = (Field(b"count", 0, 0, INT8, 8, -1),)
_VALUE_AT = 11  # in a DataRow of one column


async def with_ids(conductor: Conductor, program: Drawing, study: Study, statement: Statement) -> Begun:
    """One for which ids are drawn: with them it is like any other."""
    ids, participants = conductor.participants.ids, conductor.participants
    assert study.request is not None
    home = study.request.sharding.home
    ids.blocks.know(conductor.generation)
    if program.copied is not None:
        return await _copied(conductor, program, program.copied, home)
    rows = 0
    if program.count:
        mask, _ = await conductor.masks(study, conductor.call_of(statement))
        rows = await _rows_of(conductor, program, mask or 1 << home, statement)
    filled = await ids.filled(program, statement, participants, home, rows)
    try:
        return await conductor.start(filled)
    except StatementFailed as error:
        error.said = of_own_text(error.said, program, statement)
        raise
    finally:
        ids.drawing = program


async def _copied(conductor: Conductor, program: Drawing, copied: CopyIds, home: int) -> Begun:
    """COPY FROM STDIN, whose rows get their ids as they come."""
    participants = conductor.participants
    begun = await conductor.start(Statement(program.text(0)))
    participants.ids.drawing = program
    assert isinstance(begun.answer, CopyIn)
    return Begun(None, NumberedCopy(begun.answer, copied, participants, home))


def of_own_text(error: bytes, drawing: Drawing, statement: Statement) -> bytes:
    """The body of an ErrorResponse about a text with ids, with the place in the client's own."""
    fields = error.split(b"\0")
    taken = max(len(statement.types), drawing.parameters)
    for number, field in enumerate(fields):
        if field[:1] == b"P" and field[1:].isdigit():
            fields[number] = b"P%d" % place_in(statement.sql, drawing, taken, int(field[1:]))
    return b"\0".join(fields)


async def _rows_of(conductor: Conductor, drawing: Drawing, mask: int, statement: Statement) -> int:
    """How many rows its query has, in the transaction in which they are inserted."""
    if mask & (mask - 1):
        hint = "Name the key of every sharded table, or select the rows first and give them as values."
        raise StatementRefused("ids are not drawn for the rows of a query of several shards", hint=hint)
    meant = await conductor.describe(statement.sql, statement.types)
    await conductor.participants.begin()
    one = await conductor.participants.at(mask.bit_length() - 1)
    sql, types = drawing.count, meant.parameters or statement.types
    mentioned = parameters_in(sql) if statement.values else None
    one.request(asked_of(sql, types, statement.formats, statement.values, (0,), mentioned), REQUESTS)
    await to_rows(one, _COUNT)
    row = b""
    while run := await one.run_of_rows():
        row += run
    await to_end(one)
    return int(row[_VALUE_AT:])


async def described_before(one: Participant, study: Study, types: tuple[int, ...]) -> Description:
    """What a server says of a text, with ids in their places, which are no parameters of the client's."""
    if study.ready.plan.draws is None or not isinstance(study.program, Drawing):
        return await described(one, study.sql, types)
    taken = max(len(types), study.program.parameters)
    try:
        found = await described(one, study.program.text(taken), with_slots(study.program, types))
    except StatementFailed as error:
        error.said = of_own_text(error.said, study.program, Statement(study.sql, types))
        raise
    return replace(found, parameters=found.parameters[:taken])
