"""Parts of COPY data that stand there once for all shards."""

from __future__ import annotations

import pytest

from trunkline.execution.spread.copy_out import CopyOutOfMany
from trunkline.routing.spreading.writing_copy import CopyAll

HEAD, END = b"h" * 19, b"\xff\xff"


@pytest.mark.parametrize(
    ("body", "begins", "is_first", "kept"),
    [
        (HEAD + b"row", True, True, b"row"),
        (HEAD + b"row", True, False, b"row"),
        (HEAD + END, True, True, b""),
        (HEAD + END, True, False, b""),
        (END, False, True, b""),
        (b"row", False, False, b"row"),
    ],
)
def test_binary_data_have_one_end(body: bytes, begins: bool, is_first: bool, kept: bytes) -> None:
    copy = CopyOutOfMany(CopyAll(b"", is_binary=True, header=False), [], b"")
    assert copy.part(body, begins=begins, is_first=is_first) == kept


def test_the_binary_header_goes_with_what_comes_first() -> None:
    copy = CopyOutOfMany(CopyAll(b"", is_binary=True, header=False), [], b"")
    copy.part(HEAD + END, begins=True, is_first=True)
    copy.part(HEAD + b"row", begins=True, is_first=False)
    assert [copy._headed(body) for body in (b"row", END)] == [HEAD + b"row", END]


def test_a_header_line_is_kept_once() -> None:
    copy = CopyOutOfMany(CopyAll(b"", is_binary=False, header=True), [], b"")
    assert copy.part(b"id,name\n", begins=True, is_first=False) == b""
    assert copy.part(b"1,x\n", begins=False, is_first=False) == b"1,x\n"
