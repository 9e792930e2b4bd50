"""Cutting frames: any slicing gives the same frames, little is held back, and bad lengths are known from the header."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.protocol.scanner import FrameCutter, cut_stream

HEADER_BYTES, HEAD_BYTES, WHOLE_BYTES = 5, 4096, 65536  # scanner.pxd

sizes = st.one_of(st.integers(0, 40), st.sampled_from([4086, 4091, 4092, 65530, 65531, 65532, 70_000, 200_000]))
kinds = st.sampled_from(b"QPBDdTZ\x00\xff")
streams = st.lists(st.tuples(kinds, sizes), max_size=8)


def frame(kind: int, size: int) -> bytes:
    """A frame with a body of `size` bytes that look like headers, should anyone take them for some."""
    return struct.pack("!Bi", kind, size + 4) + (b"Z\x00\x00\x00\x05" * (size // 5 + 1))[:size]


def sliced(data: bytes, cuts: list[float]) -> list[bytes]:
    ends = sorted({int(cut * len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(ends)]


slicings = st.lists(st.floats(0, 1), max_size=12)


@given(streams, slicings, st.sampled_from([b"", b"P", b"QPBD", bytes(range(256))]))
def test_any_slicing_gives_the_same_frames(stream: list[tuple[int, int]], cuts: list[float], watched: bytes) -> None:
    data = b"".join(frame(*one) for one in stream)
    frames, _, bad = cut_stream(sliced(data, cuts), watched)
    assert frames == [(kind, size + 5) for kind, size in stream]
    assert not bad


@given(st.lists(st.tuples(kinds, st.integers(0, 40)), max_size=6), st.sampled_from([b"", b"PQ"]))
def test_byte_by_byte_gives_the_same_frames(stream: list[tuple[int, int]], watched: bytes) -> None:
    data = b"".join(frame(*one) for one in stream)
    frames, _, _ = cut_stream((data[i : i + 1] for i in range(len(data))), watched)
    assert frames == [(kind, size + 5) for kind, size in stream]


@given(streams, slicings)
def test_never_more_than_a_whole_small_frame_is_held_back(stream: list[tuple[int, int]], cuts: list[float]) -> None:
    data = b"".join(frame(*one) for one in stream)
    _, kept, _ = cut_stream(sliced(data, cuts), bytes(range(256)))
    assert kept < WHOLE_BYTES


@given(streams, slicings)
def test_what_nobody_watches_never_waits_for_its_body(stream: list[tuple[int, int]], cuts: list[float]) -> None:
    data = b"".join(frame(*one) for one in stream)
    _, kept, _ = cut_stream(sliced(data, cuts), b"")
    assert kept < HEADER_BYTES


@pytest.mark.parametrize("size", [65530, 65531])
def test_a_watched_frame_is_kept_until_it_is_whole_if_it_is_not_above_the_limit(size: int) -> None:
    data = frame(ord("P"), size)
    frames, kept, _ = cut_stream([data[:60_000], data[60_000:-1], data[-1:]], b"P")
    assert frames == [(ord("P"), size + 5)]
    assert kept == len(data) - 1


def test_a_watched_frame_above_the_limit_streams_once_its_head_is_there() -> None:
    data = frame(ord("P"), 65532)
    _, kept, _ = cut_stream([data[: HEAD_BYTES - 1], data[HEAD_BYTES - 1 :]], b"P")
    assert kept == HEAD_BYTES - 1
    _, kept, _ = cut_stream([data[:HEAD_BYTES], data[HEAD_BYTES:]], b"P")
    assert kept == 0


bad_lengths = st.one_of(st.integers(0, 3), st.integers(0x80000000, 0xFFFFFFFF))


@given(streams, bad_lengths, kinds)
@example([], 0, 0)
@example([], 3, 81)
@example([], 0xFFFFFFFF, 81)
@example([], 0x80000000, 81)
def test_a_bad_length_is_known_from_the_header(stream: list[tuple[int, int]], length: int, kind: int) -> None:
    data = b"".join(frame(*one) for one in stream)
    frames, _, bad = cut_stream([data, struct.pack("!BI", kind, length)], bytes(range(256)))
    assert bad
    assert len(frames) == len(stream)


@given(st.integers(4, 0x7FFFFFFF), st.integers(4, 0x7FFFFFFF))
def test_the_largest_length_is_the_callers_choice(length: int, limit: int) -> None:
    _, _, bad = cut_stream([struct.pack("!BI", ord("Q"), length)], b"", limit)
    assert bad is (length > limit)


def test_the_largest_length_of_the_protocol_is_no_error() -> None:
    frames, kept, bad = cut_stream([struct.pack("!BI", ord("d"), 0x7FFFFFFF)])
    assert (frames, kept, bad) == ([(ord("d"), 0x80000000)], 0, False)


# --- whole frames -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(kinds, st.integers(0, 300)), max_size=8), slicings)
def test_the_cutter_gives_whole_frames_however_they_come(stream: list[tuple[int, int]], cuts: list[float]) -> None:
    data = b"".join(frame(*one) for one in stream)
    cutter = FrameCutter()
    frames = [pair for piece in sliced(data, cuts) for pair in cutter.feed(piece)]
    assert frames == [(kind, frame(kind, size)[5:]) for kind, size in stream]
    assert cutter.pending_bytes == 0


def test_the_cutter_holds_what_is_unfinished() -> None:
    cutter = FrameCutter()
    assert cutter.feed(b"Z\0\0\0\x05") == []
    assert cutter.pending_bytes == 5
    assert cutter.feed(memoryview(b"IZ")) == [(ord("Z"), b"I")]
    assert cutter.pending_bytes == 1


@pytest.mark.parametrize("length", [0, 3, 101, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_the_cutter_refuses_a_frame_above_its_limit_at_the_header(length: int) -> None:
    with pytest.raises(ValueError, match="invalid message length"):
        FrameCutter(100).feed(struct.pack("!BI", ord("p"), length))


def test_nothing_is_no_frame() -> None:
    assert FrameCutter().feed(b"") == []
    assert cut_stream([]) == ([], 0, False)
    assert cut_stream([b"", b""]) == ([], 0, False)
