"""Values as COPY TO writes them, in text and CSV (copyto.c, CopyAttributeOutText and CopyAttributeOutCSV). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from trunkline.routing.spreading.copied import CopyQuery

Cells = Sequence[bytes | None]

_LETTERS = {b"\b": b"b", b"\f": b"f", b"\n": b"n", b"\r": b"r", b"\t": b"t", b"\v": b"v"}
_END_OF_DATA = b"\\."


def line_writer(program: CopyQuery, names: Sequence[bytes]) -> Callable[[Cells], bytes]:
    """What writes a row with these columns as a line."""
    return _csv(program, names) if program.form == "csv" else _text(program)


def _text(program: CopyQuery) -> Callable[[Cells], bytes]:
    special = re.compile(b"[\b\f\n\r\t\v\\\\" + re.escape(program.delimiter) + b"]")
    delimiter, null = program.delimiter, program.null

    def escaped(found: re.Match[bytes]) -> bytes:
        return b"\\" + _LETTERS.get(found[0], found[0])

    def write(cells: Cells) -> bytes:
        return delimiter.join([null if cell is None else special.sub(escaped, cell) for cell in cells]) + b"\n"

    return write


def _csv(program: CopyQuery, names: Sequence[bytes]) -> Callable[[Cells], bytes]:
    delimiter, null, quote, escape = program.delimiter, program.null, program.quote, program.escape
    needs = re.compile(b"[\r\n" + re.escape(delimiter + quote) + b"]")
    inner = re.compile(b"[" + re.escape(quote + escape) + b"]")
    forced = [program.quoted == ("*",) or name.decode() in program.quoted for name in names]
    is_single = len(names) == 1

    def written(cell: bytes | None, is_forced: bool) -> bytes:
        if cell is None:
            return null
        if is_forced or cell == null or needs.search(cell) or (is_single and cell == _END_OF_DATA):
            return quote + inner.sub(lambda found: escape + found[0], cell) + quote
        return cell

    def write(cells: Cells) -> bytes:
        return delimiter.join(map(written, cells, forced)) + b"\n"

    return write
