"""Two answers to one statement: whether they are the same, as far as SQL says what the answer is.

Compared are the description of the rows (names, types, typmods, formats; not the tables' OIDs), the rows, the command
tag, the SQLSTATE of errors and the state of the transaction. Rows whose order is not said are compared as a multiset;
where it is said by some columns, these have to come in the same sequence, in which 2 and 2.00 are one value: which of
them is first depends on the plan, and that on when a table was last analysed. Floats are compared to nine digits,
since their sums depend on the order of the rows.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.differential.spread.saying import Statement
from tests.integration.wire import Frame, data_row, error_fields

FIRST_OWN_OID = 16384
FLOATS: Mapping[tuple[int, int], Callable[[bytes], float]] = {
    (700, 0): float,
    (701, 0): float,
    (700, 1): lambda value: float(struct.unpack("!f", value)[0]),
    (701, 1): lambda value: float(struct.unpack("!d", value)[0]),
}
NUMERIC = 1700
DISPLAY_SCALE = slice(6, 8)  # in the binary form of numeric, behind the number of digits, the weight and the sign
COPY_SIGNATURE, COPY_HEADER_BYTES = b"PGCOPY\n\xff\r\n\0", 19
Names = Mapping[int, str]  # what the types of a database's own are called, by OID
Column = tuple[bytes, int | str, int, int, int]  # name, type, size, typmod, format


@dataclass
class Answer:
    """The frames of one answer, taken apart."""

    columns: list[list[Column]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    tags: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # of the proxy's own: it names no file, as PostgreSQL does
    states: list[bytes] = field(default_factory=list)
    shape: str = ""

    @property
    def is_refused(self) -> bool:
        return bool(self.refusals)

    @property
    def is_failed_block(self) -> bool:
        return self.states[-1:] == [b"E"]


def taken_apart(frames: Sequence[Frame], names: Names) -> Answer:
    answer = Answer()
    described: list[Column] = []
    for one in frames:
        if one.type == "T":
            described = _columns(one.body, names)
            answer.columns.append(described)
        elif one.type == "D":
            answer.rows.append(_values(one, described))
        elif one.type == "d":
            answer.rows += [(part,) for part in _copied(one.body)]
        elif one.type == "C":
            answer.tags.append(one.body)
        elif one.type == "E":
            fields = error_fields(one)
            answer.errors.append(fields["C"])
            answer.messages.append(fields["M"])
            answer.refusals += [fields["M"]] if fields["C"] == "0A000" and "F" not in fields else []
        elif one.type == "Z":
            answer.states.append(one.body)
    answer.shape = "".join(one.type for one in frames if one.type not in "SN")
    return answer


def _copied(body: bytes) -> list[bytes]:
    """A piece of COPY data; the header of the binary format by itself, as the row behind it may be any."""
    if not body.startswith(COPY_SIGNATURE):
        return [body]
    return [body[:COPY_HEADER_BYTES], body[COPY_HEADER_BYTES:]]


def _columns(body: bytes, names: Names) -> list[Column]:
    found: list[Column] = []
    at = 2
    while at < len(body):
        end = body.index(b"\0", at)
        oid, size, modifier, form = struct.unpack_from("!IhiH", body, end + 7)
        found.append((body[at:end], names.get(oid, oid) if oid >= FIRST_OWN_OID else oid, size, modifier, form))
        at = end + 19
    return found


def _values(row: Frame, columns: Sequence[Column]) -> tuple[Any, ...]:
    values = data_row(row)
    if len(values) != len(columns):
        return tuple(values)
    return tuple(_value(value, column) for value, column in zip(values, columns, strict=True))


def _value(value: bytes | None, column: Column) -> Any:
    read = FLOATS.get((column[1], column[4])) if isinstance(column[1], int) else None
    if value is None or read is None:
        return value
    try:
        number = read(value)
    except (ValueError, struct.error):
        return value
    return f"{0.0 if abs(number) < 1e-9 else number:.8e}" if math.isfinite(number) else str(number)


def difference(got: Answer, wanted: Answer, statement: Statement) -> str:
    """What differs, in a word and with both sides; empty if nothing does."""
    if got.errors or wanted.errors:
        if got.errors != wanted.errors:
            return f"errors: {_said(got)} instead of {_said(wanted)}"
        return "" if got.states == wanted.states else f"states: {got.states} instead of {wanted.states}"
    for name in ("columns", "tags", "states", "shape"):
        here, there = getattr(got, name), getattr(wanted, name)
        if here != there:
            return f"{name}: {here} instead of {there}"
    return _rows_differ(got, wanted, statement.order)


def _said(answer: Answer) -> str:
    return f"{answer.errors} {answer.messages}" if answer.errors else f"{len(answer.rows)} rows {answer.rows[:3]}"


def _rows_differ(got: Answer, wanted: Answer, order: tuple[int, ...] | None) -> str:
    here, there = Counter(got.rows), Counter(wanted.rows)
    if here != there:
        return f"rows: {list((here - there).elements())[:5]} instead of {list((there - here).elements())[:5]}"
    if order == () and got.rows != wanted.rows:
        return f"order: {got.rows[:12]} instead of {wanted.rows[:12]}"
    if order:
        keys, due = _keys(got, order), _keys(wanted, order)
        if keys != due:
            return f"order of {order}: {keys[:12]} instead of {due[:12]}"
    return ""


def _keys(answer: Answer, order: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """What the rows are sorted by; equal where PostgreSQL takes them for equal."""
    columns = answer.columns[-1] if answer.columns else []
    return [
        tuple(_sorted_by(row[place], columns[place] if place < len(columns) else None) for place in order)
        for row in answer.rows
    ]


def _sorted_by(value: Any, column: Column | None) -> Any:
    if value is None or column is None or column[1] != NUMERIC:
        return value
    if not column[4]:
        return str(Decimal(value.decode()).normalize())
    digits = bytearray(value)
    del digits[DISPLAY_SCALE]
    return bytes(digits)
