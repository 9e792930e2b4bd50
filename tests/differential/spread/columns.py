"""The types that columns have, and the values that are put into them.

Values are few, so that joins meet and groups have members. Equal values have one text only (no 1.0 beside 1.00, no
-0), so that which of several equal ones PostgreSQL shows is not a difference; floats are such that their sums are
exact in any order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

Binary = Callable[[str], bytes]


@dataclass(frozen=True)
class Type:
    """``name`` is unique, ``sql`` is what DDL says, ``family`` decides what can be done with it."""

    name: str
    sql: str
    oid: int
    family: str
    values: tuple[str, ...]
    collation: str = ""
    binary: Binary | None = None
    has_extremes: bool = True  # min() and max() in every version

    @property
    def declaration(self) -> str:
        return f"{self.sql} COLLATE {self.collation}" if self.collation else self.sql

    def said(self, value: str | None, form: int) -> bytes | None:
        """The value as a parameter, in text or binary form."""
        if value is None:
            return None
        return self.binary(value) if form and self.binary is not None else value.encode()

    def literal(self, value: str | None) -> str:
        """The value as a constant that is of this type wherever it stands."""
        if value is None:
            return f"NULL::{self.sql}"
        if self.name in ("int4", "bool") and not value.startswith("-"):
            return value
        return "'" + value.replace("'", "''") + f"'::{self.sql}"


def _integer(code: str) -> Binary:
    return lambda value: struct.pack(code, int(value))


WORDS = (
    "a", "B", "b", "A", "ä", "Z", "", "aa", "a b", "ß", "é", "z", "É", "O'Neil", "10", "9", "a-b", "ab", "_", "名",
)  # fmt: skip
UUIDS = tuple(str(UUID(int=number * 0x1234567890ABCDEF1234567890ABCD)) for number in range(1, 13))

INT2 = Type("int2", "int2", 21, "integer", ("0", "1", "2", "3", "-1", "7", "32767"), binary=_integer("!h"))
INT4 = Type("int4", "int4", 23, "integer", ("0", "1", "2", "3", "4", "5", "-7", "2147483647"), binary=_integer("!i"))
INT8 = Type("int8", "int8", 20, "integer", ("0", "1", "2", "3", "5", "8", "9223372036854775807"), binary=_integer("!q"))
MONEY = Type("numeric_2", "numeric(12,2)", 1700, "numeric", ("0.00", "1.00", "1.25", "2.50", "-3.10", "9999999999.99"))
NUMERIC = Type("numeric", "numeric", 1700, "numeric", ("0", "1", "1.5", "2.25", "-0.001", "NaN", "1e20"))
FLOAT8 = Type("float8", "float8", 701, "float", ("0", "1", "0.5", "-2.25", "3", "1024"))
FLOAT4 = Type("float4", "float4", 700, "float", ("0", "1", "0.5", "-2.25", "3"))
ROUNDED = Type("float8", "float8", 701, "rounded", ())  # made of many, in an order that is not said
TEXT = Type("text", "text", 25, "text", WORDS, binary=str.encode)
TEXT_C = Type("text_c", "text", 25, "text", WORDS, '"C"', binary=str.encode)
VARCHAR = Type("varchar", "varchar(8)", 1043, "text", WORDS)
CHAR = Type("char", "char(3)", 1042, "char", ("a  ", "b  ", "B  ", "ab ", "   "))
DATE = Type("date", "date", 1082, "time", ("2024-02-29", "2025-01-01", "2025-12-31", "1999-01-01", "infinity"))
TIMESTAMP = Type(
    "timestamp", "timestamp", 1114, "time", ("2025-01-01 00:00:00", "2025-03-30 02:30:00", "2025-01-01 00:00:00.000001")
)
TIMESTAMPTZ = Type(
    "timestamptz", "timestamptz", 1184, "time", ("2025-01-01 00:00:00+00", "2025-07-01 12:00:00+02", "-infinity")
)
UUID_TYPE = Type("uuid", "uuid", 2950, "plain", UUIDS, binary=lambda value: UUID(value).bytes, has_extremes=False)
BYTEA = Type("bytea", "bytea", 17, "plain", ("\\x", "\\x00", "\\x00ff", "\\xff", "\\x61"), has_extremes=False)
BOOL = Type("bool", "bool", 16, "bool", ("true", "false"), has_extremes=False)
JSONB = Type(
    "jsonb", "jsonb", 3802, "json", ('{"a": 1}', '{"a": 2, "b": [1, 2]}', "[]", "1", '"x"', "null"), has_extremes=False
)
INT4S = Type("int4[]", "int4[]", 1007, "array", ("{}", "{1}", "{1,2}", "{2,1}", "{1,NULL}"))
MOOD = Type("mood", "mood", 0, "enum", ("sad", "ok", "happy"))
KEY_INT8 = Type("key_int8", "int8", 20, "integer", tuple(map(str, range(1, 13))), binary=_integer("!q"))
KEY_TEXT = Type("key_text", "text", 25, "text", WORDS[:14], binary=str.encode)
# What expressions only have.
INTERVAL = Type("interval", "interval", 1186, "other", ("1 day", "2 hours"), has_extremes=False)
JSON = Type("json", "json", 114, "unordered", (), has_extremes=False)

KEYS: Sequence[Type] = (KEY_INT8, KEY_TEXT, UUID_TYPE)
ORDINARY: Sequence[Type] = (
    INT2, INT4, INT8, MONEY, NUMERIC, FLOAT8, FLOAT4, TEXT, TEXT_C, VARCHAR, CHAR, DATE, TIMESTAMP, TIMESTAMPTZ,
    UUID_TYPE, BYTEA, BOOL, JSONB, INT4S, MOOD,
)  # fmt: skip


def by_icu(collation: str) -> Type:
    """Text that is not ordered by its bytes."""
    return Type("text_icu", "text", 25, "text", WORDS, collation, binary=str.encode)
