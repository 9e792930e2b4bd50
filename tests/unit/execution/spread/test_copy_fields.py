"""Fields of COPY data."""

from __future__ import annotations

import pytest

from trunkline.execution.spread.copy_fields import unescaped, unquoted


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"a", b"a"),
        (rb"\b\f\n\r\t\v\q\\", b"\b\f\n\r\t\vq\\"),
        (rb"\101\1012\x41\x4g\xg", b"AA2A\x04gxg"),
        (rb"\777", b"\xff"),
        (b"a\\", b"a\\"),
    ],
)
def test_text_is_unescaped(raw: bytes, said: bytes) -> None:
    assert unescaped(raw) == said


@pytest.mark.parametrize(
    ("raw", "escape", "said"),
    [
        (b'"a"', b'"', b"a"),
        (b'"a""b"c', b'"', b'a"bc'),
        (rb'"a\"b\\\c"', b"\\", rb'a"b\\c'),
    ],
)
def test_quotes_are_taken_off(raw: bytes, escape: bytes, said: bytes) -> None:
    assert unquoted(raw, ord('"'), escape[0]) == said
