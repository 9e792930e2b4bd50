"""Messages of the extended protocol, made and read."""

from __future__ import annotations

import struct

import pytest

from trunkline.execution.spread.binding import Bound, asked_of, bind
from trunkline.execution.spread.participant import values_of
from trunkline.protocol.messages import FLUSH


def test_what_is_bound_is_read_again() -> None:
    bound = Bound(bind((1, 0), (b"\0\0\0\1", None), (1,))[5:])
    assert (bound.portal, bound.statement) == (b"", b"")
    assert (bound.formats, bound.values, bound.result_formats) == ((1, 0), (b"\0\0\0\1", None), (1,))


def test_one_format_is_that_of_all_parameters_and_none_is_text() -> None:
    assert Bound(bind((1,), (b"a", b"b"), ())[5:]).formats == (1, 1)
    assert Bound(bind((), (b"a", b"b"), ())[5:]).formats == (0, 0)


@pytest.mark.parametrize("size", range(2, 22))
def test_a_bind_that_is_cut_off_is_none(size: int) -> None:
    whole = bind((1, 0), (b"abcd", None), (1,))[5:]
    with pytest.raises((ValueError, IndexError, struct.error)):
        Bound(whole[: min(size, len(whole) - 1)])


def test_a_parameter_that_a_text_does_not_mention_is_a_null_of_text() -> None:
    frames = asked_of(b"SELECT $2", (20,), (1, 1), (b"12345678", b"1234"), (), {2})
    assert b"SELECT $2\0" + struct.pack("!HII", 2, 25, 0) in frames
    at = frames.index(b"B", frames.index(b"SELECT $2"))
    assert Bound(frames[at + 5 :][: struct.unpack_from("!I", frames, at + 1)[0] - 4]).values == (None, b"1234")


def test_a_flush_stands_between_bind_and_describe() -> None:
    assert FLUSH in asked_of(b"SELECT 1", (), (), (), (), flushes=True)
    assert FLUSH not in asked_of(b"SELECT 1", (), (), (), ())


def test_values_of_no_row_are_none() -> None:
    assert values_of(b"\0\0") == ()
