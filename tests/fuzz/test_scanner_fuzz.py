"""Any bytes, in any slices: frames are cut alike, memory stays bounded, nothing but ValueError comes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.protocol.scanner import FrameCutter, cut_stream

WHOLE_BYTES = 65536
LIMIT = 1000

# Bytes that are frames now and then: lengths that are small, zero, negative or the largest, with anything behind.
lengths = st.one_of(st.integers(0, 60), st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, LIMIT + 4, 65535, 65536]))
bits = st.one_of(
    st.binary(max_size=30),
    st.builds(lambda kind, n: kind + n.to_bytes(4, "big"), st.binary(min_size=1, max_size=1), lengths),
)
pieces = st.lists(bits, max_size=20)


def cut_all(slices: list[bytes]) -> tuple[list[tuple[int, bytes]], int, bool]:
    cutter, frames = FrameCutter(LIMIT), []
    for piece in slices:
        try:
            frames += cutter.feed(piece)
        except ValueError:
            return frames, cutter.pending_bytes, True
    return frames, cutter.pending_bytes, False


@given(pieces)
def test_the_cutter_bears_any_bytes(slices: list[bytes]) -> None:
    frames, pending, bad = cut_all(slices)
    assert all(len(body) < LIMIT for _, body in frames)
    assert bad or pending <= LIMIT + 1
    assert bad or sum(len(body) + 5 for _, body in frames) + pending == len(b"".join(slices))


@given(pieces)
def test_slicing_does_not_change_what_is_cut(slices: list[bytes]) -> None:
    data = b"".join(slices)
    byte_by_byte, _, bad_slowly = cut_all([data[i : i + 1] for i in range(len(data))])
    at_once, _, bad = cut_all([data])
    assert bad is bad_slowly
    assert bad or at_once == byte_by_byte  # a bad length throws away the frames that came with it in one piece


@given(pieces, st.binary(max_size=5))
def test_a_stream_holds_little_back_whatever_it_is(slices: list[bytes], watched: bytes) -> None:
    frames, kept, bad = cut_stream(slices, watched)
    assert kept < WHOLE_BYTES
    data = b"".join(slices)
    assert (frames, bad) == cut_stream([data[i : i + 1] for i in range(len(data))], watched)[::2]


@given(pieces)
def test_a_stream_that_watches_nothing_holds_headers_only(slices: list[bytes]) -> None:
    assert cut_stream(slices)[1] < 5
