"""Values as COPY TO writes them."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.execution.spread.copy_written import line_writer
from trunkline.routing.spreading.copied import CopyQuery


def program(form: str, delimiter: bytes, null: bytes, quoted: tuple[str, ...] = ()) -> CopyQuery:
    nothing: Any = None
    return CopyQuery(nothing, None, b"", form, False, delimiter, null, b'"', b'"', quoted)


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ([b"a", None, b""], b"a\t\\N\t\n"),
        ([b"tab\t", b"back\\", b"line\n\r\b\f\v"], b"tab\\t\tback\\\\\tline\\n\\r\\b\\f\\v\n"),
        ([b"\x01", "ä".encode(), b"x"], b"\x01\t\xc3\xa4\tx\n"),
    ],
)
def test_text(cells: list[bytes | None], line: bytes) -> None:
    assert line_writer(program("text", b"\t", b"\\N"), [b"a", b"b", b"c"])(cells) == line


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ([b"a", None, b""], b'a,,""\n'),
        ([b"a,b", b'say "x"', b"l\nm"], b'"a,b","say ""x""","l\nm"\n'),
        ([b"\\.", b"plain", b"x"], b"\\.,plain,x\n"),
    ],
)
def test_csv(cells: list[bytes | None], line: bytes) -> None:
    assert line_writer(program("csv", b",", b""), [b"a", b"b", b"c"])(cells) == line


def test_what_would_be_read_otherwise_is_quoted() -> None:
    assert line_writer(program("csv", b",", b"none", ("a",)), [b"a", b"b"])([b"x", b"none"]) == b'"x","none"\n'
    assert line_writer(program("csv", b",", b""), [b"a"])([b"\\."]) == b'"\\."\n'
    assert line_writer(program("text", b"a", b"N"), [b"a", b"b"])([b"banana", None]) == b"b\\an\\an\\aaN\n"
