"""Asking a server what a text means: its parameters and columns, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.execution.spread.binding import DESCRIBE_STATEMENT, parse
from trunkline.execution.spread.description import Description, Field, fields_of, parameters_of
from trunkline.execution.spread.participant import Participant, as_error
from trunkline.protocol.messages import SYNC


async def described(one: Participant, sql: bytes, types: Sequence[int]) -> Description:
    """What it says of a text; StatementFailed, in its words, if that cannot be prepared."""
    one.request(parse(sql, types) + DESCRIBE_STATEMENT + SYNC, ("parse_unnamed", "describe", "sync"))
    parameters: tuple[int, ...] = ()
    fields: tuple[Field, ...] | None = None
    error = None
    while True:
        kind, body = await one.message()
        if kind == ord("t"):
            parameters = parameters_of(body)
        elif kind == ord("T"):
            fields = fields_of(body)
        elif kind == ord("E"):
            error = error or as_error(body)
        elif kind == ord("Z"):
            break
    if error is not None:
        raise error
    return Description(parameters, fields, one.shard)
