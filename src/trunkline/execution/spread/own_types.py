"""Types of users, which have another number on each shard: whether columns of two shards are of one type by its name.

Rows of a write are kept until it is done, so names are asked for behind it, and only where numbers differ. What a row
says is the same then: an enum's value is its label in both formats; of other types it is the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trunkline.errors import StatementRefused
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.describing import described
from trunkline.execution.spread.description import FIRST_USER_OID, Description, Field, TypeName
from trunkline.execution.spread.participant import Participant
from trunkline.protocol.messages import format_of

_NAMES = (
    "SELECT t.oid, n.nspname, t.typname, t.typtype FROM pg_catalog.pg_type t"
    " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN ({})"
)


def may_agree(found: Sequence[Field], expected: Sequence[Field]) -> bool:
    """Whether these may be the same columns: their types are the same, or all of users."""
    return len(found) == len(expected) and all(
        (one.name, one.modifier, min(one.type, FIRST_USER_OID))
        == (other.name, other.modifier, min(other.type, FIRST_USER_OID))
        for one, other in zip(found, expected, strict=True)
    )


def differ(found: Sequence[Field], expected: Sequence[Field]) -> bool:
    """Whether their types have other numbers."""
    return [one.type for one in found] != [one.type for one in expected]


def anywhere(types: Sequence[int]) -> tuple[int, ...]:
    """Types of parameters as any shard may be told of them: those of users are its to find."""
    return tuple(0 if oid >= FIRST_USER_OID else oid for oid in types)


async def with_names(one: Participant, found: Description) -> Description:
    """With the names of its columns' types, where another shard may have other numbers for them."""
    return replace(found, names=tuple(await _names(one, found.fields or ()))) if found.has_own_types else found


async def agree_by_name(found: Sequence[tuple[Participant, Sequence[Field]]], asked: Asked) -> None:
    """StatementRefused if a column is of another type at one of these than where the text was described."""
    expected = asked.described.fields or ()
    for one, fields in found:
        here = await _names(one, fields)
        for place, (name, other) in enumerate(zip(here, asked.described.names, strict=True)):
            readable = name[-1] == b"e" or not format_of(asked.result_formats, place)
            if fields[place].type != expected[place].type and not (name == other and readable):
                detail = f"Shard {one.pool.database} has other columns for it than another shard."
                raise StatementRefused("the shards do not agree on the columns of the answer", detail=detail)


async def meant_at(one: Participant, sql: bytes, asked: Asked) -> Asked:
    """The same in this shard's words, which says it alone; StatementRefused if they mean other columns."""
    known = asked.described
    if known.shard in (-1, one.shard):
        return asked
    types = anywhere(asked.types)
    if not known.has_own_types:
        return replace(asked, types=types)
    here = await described(one, sql, types)
    if not may_agree(here.fields or (), known.fields or ()):
        return replace(asked, types=types)
    await agree_by_name([(one, here.fields or ())], asked)
    return replace(asked, described=here, types=types)


async def _names(one: Participant, fields: Sequence[Field]) -> list[TypeName]:
    oids = ", ".join(str(field.type) for field in fields)
    rows = await one.ask(_NAMES.format(oids).encode())
    names: dict[bytes | None, TypeName] = {oid: tuple(name) for oid, *name in rows}
    return [names.get(b"%d" % field.type, (b"%d" % field.type,)) for field in fields]
