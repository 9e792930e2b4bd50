"""The prepared statements of a client, for a session that does not relay them: what a Parse says, and what it named."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from trunkline.errors import ProtocolViolation, UnknownStatement
from trunkline.protocol.messages import message
from trunkline.protocol.statement import intern
from trunkline.shard_errors import DuplicateStatement

if TYPE_CHECKING:
    from trunkline.proxy.client import ClientLink


class Prepared:
    """A Parse (section 55.7)."""

    __slots__ = ("name", "rest", "sql", "types")

    def __init__(self, body: bytes) -> None:
        """ProtocolViolation if it is none."""
        try:
            self.name, self.rest = body.split(b"\0", 1)
        except ValueError:
            raise ProtocolViolation("insufficient data left in message") from None
        self.sql, self.types = text_and_types(self.rest)


def text_and_types(rest: bytes) -> tuple[bytes, tuple[int, ...]]:
    """Of a Parse from its text on."""
    try:
        sql, types = rest.split(b"\0", 1)
        (count,) = struct.unpack_from("!H", types)
        return sql, struct.unpack_from(f"!{count}I", types, 2)
    except (ValueError, struct.error):
        raise ProtocolViolation("insufficient data left in message") from None


def name_it(link: ClientLink, prepared: Prepared, body: bytes, family: str) -> None:
    """The client's name stands for this statement from now on; DuplicateStatement if it does for one already."""
    if not prepared.name:
        link.unnamed = message(b"P", body)
        return
    if link.names and prepared.name in link.names:
        raise DuplicateStatement(f'prepared statement "{prepared.name.decode(errors="replace")}" already exists')
    assert link.params is not None
    link.name(prepared.name, intern(prepared.rest, link.params.meaning, family))


def body_of(link: ClientLink, name: bytes) -> tuple[bytes, tuple[int, ...]]:
    """The text and the declared types of a statement; UnknownStatement if there is none of this name."""
    if not name:
        if link.unnamed is None:
            raise UnknownStatement("unnamed prepared statement does not exist")
        return text_and_types(link.unnamed[6:])
    found = (link.names or {}).get(name)
    if found is None:
        raise UnknownStatement(f'prepared statement "{name.decode(errors="replace")}" does not exist')
    return text_and_types(found.body)
