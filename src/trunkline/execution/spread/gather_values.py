"""Values of parameters as constants in SQL of our own, for COPY takes no parameters.

A value is read and written again in a form that does not depend on the settings of a session; what cannot be read here
is not said, and its condition is then asked only where the statement runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trunkline.routing.keys.arrays import TYPE_OIDS
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible
from trunkline.routing.keys.values import from_binary, from_text
from trunkline.routing.keys.written import to_text
from trunkline.routing.spreading.gathering_filters import Given
from trunkline.routing.spreading.quoting import literal

MAX_BYTES = 10_000  # of a value that is put into a text


class _Call(Protocol):
    @property
    def formats(self) -> tuple[int, ...]: ...

    @property
    def values(self) -> tuple[bytes | None, ...]: ...


def value_writer(call: _Call, types: tuple[int, ...]) -> Callable[[Given], str | None]:
    """What writes the parameters of a call; `types` are those that PostgreSQL has given them."""

    def write(given: Given) -> str | None:
        place = given.number - 1
        if not 0 <= place < min(len(call.values), len(types)):
            return None
        type, value = TYPE_OIDS.get(types[place]), call.values[place]
        if type is None or (value is not None and len(value) > MAX_BYTES):
            return None
        written = _constant(value, type, binary=bool(call.formats[place]))
        return written if written is None or not given.cast else f"{written}::pg_catalog.{given.cast}"

    return write


def _constant(value: bytes | None, type: str, *, binary: bool) -> str | None:
    if value is None:
        return f"NULL::pg_catalog.{type}"
    try:
        read = from_binary(value, type) if binary else from_text(value, type)
    except (NotCoercible, KeyUnknown):
        return None
    return f"{literal(to_text(read, type))}::pg_catalog.{type}"
