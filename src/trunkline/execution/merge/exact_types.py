"""The types whose order and equality are known here exactly, and how a value of each is made comparable.

By the OIDs of pg_type.dat. A text is only in the order of its bytes where its collation says so (`TEXTS`).
"""

from __future__ import annotations

from typing import Final

SIGNED: Final = 1  # of 1 to 8 bytes, in network order
UNSIGNED: Final = 2  # and all that is compared as its bytes and has one length
FLOAT4: Final = 3
FLOAT8: Final = 4
BYTES: Final = 5  # of any length
PADDED: Final = 6  # the same, but blanks at the end do not count
NUMERIC: Final = 7
TIMETZ: Final = 8
INTERVAL: Final = 9

BOOL, BYTEA, INT8, INT2, INT4, NUMERIC_OID = 16, 17, 20, 21, 23, 1700

EXACT: Final = {
    BOOL: UNSIGNED,
    BYTEA: BYTES,
    18: UNSIGNED,  # "char"
    INT8: SIGNED,
    INT2: SIGNED,
    INT4: SIGNED,
    26: UNSIGNED,  # oid
    700: FLOAT4,
    701: FLOAT8,
    790: SIGNED,  # money
    829: UNSIGNED,  # macaddr
    1082: SIGNED,  # date
    1083: SIGNED,  # time
    1114: SIGNED,  # timestamp
    1184: SIGNED,  # timestamptz
    1186: INTERVAL,
    1266: TIMETZ,
    NUMERIC_OID: NUMERIC,
    2950: UNSIGNED,  # uuid
    3220: UNSIGNED,  # pg_lsn
}
TEXTS: Final = {25: BYTES, 1042: PADDED, 1043: BYTES}


def kind_of(oid: int, *, bytewise: bool) -> int | None:
    """How values of a type are compared; None: that is not known exactly."""
    found = EXACT.get(oid)
    return TEXTS.get(oid) if found is None and bytewise else found
