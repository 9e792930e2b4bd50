"""Frames as lines of a transcript: everything that a client can tell apart, and nothing that differs between sessions.

Left out, because they say where or when and not what: process ids, cancel keys, oids above the system's own, and of
errors the file, line and routine of PostgreSQL's source. `RENDERERS` has an entry for each type that is taken apart;
all others are shown as they are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping

from tests.integration.wire import Frame, data_row, error_fields

FIRST_USER_OID = 16384
SHOWN_BYTES = 200
LEFT_OUT = "FLR"  # of errors and notices: where in the source


def shown(value: bytes | None) -> str:
    """A value as a Python literal; of a long one its beginning, length and hash."""
    if value is None:
        return "NULL"
    if len(value) <= SHOWN_BYTES:
        return repr(value)[1:]
    return f"{value[:40]!r}... of {len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}"


def oid(number: int) -> str:
    return str(number) if number < FIRST_USER_OID else "user's"


def _row_description(frame: Frame) -> str:
    (count,) = struct.unpack_from("!H", frame.body)
    at, columns = 2, []
    for _ in range(count):
        end = frame.body.index(0, at)
        name = frame.body[at:end]
        table, number, kind, size, modifier, form = struct.unpack_from("!IhIhih", frame.body, end + 1)
        origin = f" of {oid(table)}.{number}" if table else ""
        columns.append(f"{shown(name)} {oid(kind)}({size},{modifier}){'b' if form else ''}{origin}")
        at = end + 19
    return f"T {' | '.join(columns)}"


def _data_row(frame: Frame) -> str:
    return f"D {' | '.join(shown(value) for value in data_row(frame))}"


def _said(frame: Frame) -> str:
    fields = error_fields(Frame(frame.type, frame.body.decode(errors="backslashreplace").encode()))
    return f"{frame.type} " + " ".join(f"{key}={value!r}" for key, value in fields.items() if key not in LEFT_OUT)


def _parameter_description(frame: Frame) -> str:
    (count,) = struct.unpack_from("!H", frame.body)
    return f"t {' '.join(oid(number) for number in struct.unpack_from(f'!{count}I', frame.body, 2))}"


def _copy_response(frame: Frame) -> str:
    overall, count = struct.unpack_from("!bH", frame.body)
    return f"{frame.type} {overall} {list(struct.unpack_from(f'!{count}H', frame.body, 3))}"


def _function_result(frame: Frame) -> str:
    (size,) = struct.unpack_from("!i", frame.body)
    return f"V {shown(None if size < 0 else frame.body[4:])}"


RENDERERS: Mapping[str, Callable[[Frame], str]] = {
    "T": _row_description,
    "D": _data_row,
    "E": _said,
    "N": _said,
    "t": _parameter_description,
    "G": _copy_response,
    "H": _copy_response,
    "W": _copy_response,
    "V": _function_result,
    "K": lambda frame: f"K of {len(frame.body)} bytes",
    "Z": lambda frame: f"Z {frame.body.decode()}",
    "C": lambda frame: f"C {frame.body[:-1].decode()}",
}


def render(frame: Frame) -> str:
    """One line of a transcript."""
    renderer = RENDERERS.get(frame.type)
    if renderer is not None:
        return renderer(frame)
    return f"{frame.type} {shown(frame.body)}" if frame.body else frame.type


def notification(frame: Frame) -> str:
    """A notification without the process id of who sent it."""
    channel, payload, _ = frame.body[4:].split(b"\0")
    return f"A {shown(channel)} {shown(payload)}"
