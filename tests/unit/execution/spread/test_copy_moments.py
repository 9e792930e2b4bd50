"""Which rows of COPY data mean the time at which they are read."""

from __future__ import annotations

import pytest

from trunkline.execution.spread.copy_moments import Moments

TEXT = Moments((1,), False, b"\t", b'"', b'"')
CSV = Moments((1,), True, b",", b'"', b'"')


@pytest.mark.parametrize(
    "row", [b"1\tnow\tx", b"1\t Today ", b"1\t\\156ow", b"a\\\tb\ttomorrow", b"1\t{2026-01-01,now}"]
)
def test_text_that_means_now(row: bytes) -> None:
    assert TEXT.may_be_in(row)
    assert TEXT.are_in(row)


@pytest.mark.parametrize("row", [b"now\t2026-01-01", b"1", b"1\t\\N\tnow", b"1\tknown", b"a\\\tnow\t2026-01-01"])
def test_text_that_does_not(row: bytes) -> None:
    assert not TEXT.are_in(row)


@pytest.mark.parametrize("row", [b'1,"now",x', b"1,YESTERDAY", b'"a,""b",n"o"w', b'"a,now","no""w"'])
def test_csv(row: bytes) -> None:
    assert CSV.are_in(row) == (b'"no""w"' not in row)


def test_data_without_the_letters_are_not_looked_at() -> None:
    assert not TEXT.may_be_in(b"1\t2026-01-01\tn ow \\N\n")
    assert CSV.may_be_in(b"1,2026-01-01,I know\n")
