"""Streams of rows merged, compared with a model of a few lines."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.execution.merge import exact_types
from trunkline.execution.merge.merger import Merger
from trunkline.shard_errors import MergeError

Row = tuple[bytes | None, ...]


def frame(cells: Row) -> bytes:
    body = struct.pack("!H", len(cells))
    for cell in cells:
        body += struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell
    return b"D" + struct.pack("!i", len(body) + 4) + body


def frames(data: bytes) -> list[Row]:
    found = []
    while data:
        (size,) = struct.unpack_from("!i", data, 1)
        body, data = data[5 : size + 1], data[size + 1 :]
        cells: list[bytes | None] = []
        at = 2
        for _ in range(struct.unpack_from("!H", body)[0]):
            (length,) = struct.unpack_from("!i", body, at)
            cells.append(None if length < 0 else body[at + 4 : at + 4 + length])
            at += 4 + max(length, 0)
        found.append(tuple(cells))
    return found


def merger(streams: int, **more: object) -> Merger:
    """Of rows with one column of the client's and two hidden ones, a number and a text."""
    orders = [(exact_types.SIGNED, False, False), (exact_types.BYTES, True, True)]
    options = {"unique": None, "offset": 0, "limit": None, "ties": False, **more}
    return Merger(streams, 1, 2, orders, options["unique"], [], options["offset"], options["limit"], options["ties"])  # type: ignore[arg-type]


def run(merging: Merger, streams: Sequence[Sequence[Row]], sizes: Sequence[int]) -> list[Row]:
    """Feed each stream pieces of these many rows, in turn, only what is wanted."""
    left = [list(rows) for rows in streams]
    out = b""
    turn = 0
    while not merging.done:
        for place, rows in enumerate(left):
            if not merging.wants(place):
                continue
            size = sizes[turn % len(sizes)]
            turn += 1
            if rows:
                merging.feed(place, b"".join(map(frame, rows[:size])))
                del rows[:size]
            else:
                merging.end(place)
        out += merging.take()
    return frames(out)


NUMBERS = st.one_of(st.none(), st.integers(-3, 3))
TEXTS = st.one_of(st.none(), st.binary(max_size=2))


def order(row: Row) -> tuple[object, ...]:
    number, text = row[1], row[2]
    value = struct.unpack("!i", number)[0] if number is not None else 0
    backwards = [-byte for byte in text] if text is not None else []
    return number is None, value, text is not None, [*backwards, 1]


@st.composite
def spread(draw: st.DrawFn) -> list[list[Row]]:
    streams = []
    for _ in range(draw(st.integers(1, 4))):
        rows: list[Row] = [
            (
                draw(st.one_of(st.none(), st.binary(max_size=3))),
                None if number is None else struct.pack("!i", number),
                text,
            )
            for number, text in draw(st.lists(st.tuples(NUMBERS, TEXTS), max_size=12))
        ]
        streams.append(sorted(rows, key=order))
    return streams


@given(spread(), st.lists(st.integers(1, 5), min_size=1), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 9)))
def test_rows_come_in_order_within_limits(
    streams: list[list[Row]], sizes: list[int], offset: int, limit: int | None
) -> None:
    merging = merger(len(streams), offset=offset, limit=limit)
    found = run(merging, streams, sizes)
    everything = sorted((row for rows in streams for row in rows), key=order)
    expected = everything[offset : None if limit is None else offset + limit]
    assert merging.rows == len(found) == len(expected)
    for _, same in groupby(expected, key=order):  # rows that are equal may come in any order, or others of them
        these = list(same)
        first = expected.index(these[0])
        among = [row[:1] for row in everything if order(row) == order(these[0])]
        assert all(row in among for row in found[first : first + len(these)])
    if limit is None and not offset:
        assert sorted(map(repr, found)) == sorted(repr(row[:1]) for row in everything)


@given(spread(), st.lists(st.integers(1, 5), min_size=1), st.integers(0, 3), st.integers(0, 9))
def test_ties_with_the_last_row_come_as_well(
    streams: list[list[Row]], sizes: list[int], offset: int, limit: int
) -> None:
    found = run(merger(len(streams), offset=offset, limit=limit, ties=True), streams, sizes)
    everything = sorted((row for rows in streams for row in rows), key=order)
    inside = everything[offset : offset + limit]
    ties = [
        row
        for row in everything[offset + limit :]
        if inside and len(inside) == limit and order(row) == order(inside[-1])
    ]
    assert len(found) == len(inside) + len(ties)


@given(
    spread(), st.lists(st.integers(1, 5), min_size=1), st.sampled_from([1, 2]), st.one_of(st.none(), st.integers(0, 4))
)
def test_rows_that_agree_in_their_first_keys_are_one(
    streams: list[list[Row]], sizes: list[int], unique: int, limit: int | None
) -> None:
    merging = merger(len(streams), unique=unique, limit=limit)
    found = run(merging, streams, sizes)
    everything = sorted((row for rows in streams for row in rows), key=order)
    groups = [list(rows) for _, rows in groupby(everything, key=lambda row: row[1 : 1 + unique])][:limit]
    assert len(found) == len(groups)
    for row, group in zip(found, groups, strict=True):
        assert row in [one[:1] for one in group if order(one) == order(group[0])]


def test_nothing_comes_before_each_stream_has_said_what_is_first() -> None:
    merging = merger(2)
    merging.feed(0, frame((b"a", struct.pack("!i", 1), b"")))
    assert (merging.take(), merging.lacks(0), merging.lacks(1), merging.done) == (b"", False, True, False)
    merging.feed(1, frame((b"b", struct.pack("!i", 2), b"")))
    assert frames(merging.take()) == [(b"a",)]
    merging.end(0)
    merging.end(1)
    assert frames(merging.take()) == [(b"b",)]
    assert merging.done


def test_a_stream_of_which_enough_is_here_is_not_wanted() -> None:
    merging = merger(2)
    rows = frame((b"x" * 1000, struct.pack("!i", 1), b"")) * 100
    assert merging.wants(0)
    merging.feed(0, rows)
    assert not merging.wants(0)
    merging.feed(1, frame((b"y", struct.pack("!i", 9), b"")))
    while merging.take():
        pass
    assert merging.wants(0)


GOOD = frame((b"a", bytes(4), b""))


@pytest.mark.parametrize(
    "rows",
    [
        b"D",
        b"C" + GOOD[1:],
        GOOD[:-1],
        b"D" + struct.pack("!i", 5) + GOOD[5:],
        b"D" + struct.pack("!i", -1) + GOOD[5:],
        b"D" + struct.pack("!i", 2**31 - 1) + GOOD[5:],
        frame((b"a", bytes(4))),
        frame((b"a", b"123", b"")),
        GOOD[:7] + struct.pack("!i", -2) + GOOD[11:],
        GOOD[:7] + struct.pack("!i", 2**31 - 1) + GOOD[11:],
        b"D" + struct.pack("!i", len(GOOD)) + GOOD[5:] + b"x",
    ],
)
def test_a_row_that_is_none_is_an_error(rows: bytes) -> None:
    with pytest.raises(MergeError):
        merger(1).feed(0, rows)


@given(st.binary(max_size=60), st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_damaged_rows_are_merged_or_an_error(noise: bytes, place: int, byte: int) -> None:
    for rows in (noise, GOOD[:place] + bytes([byte]) + GOOD[place + 1 :], b"D" + noise):
        merging = merger(1)
        try:
            merging.feed(0, rows)
            merging.end(0)
            while not merging.done:
                merging.take()
        except MergeError:
            continue


def test_rows_behind_the_end_are_an_error() -> None:
    merging = merger(1)
    merging.end(0)
    with pytest.raises(MergeError):
        merging.feed(0, GOOD)
