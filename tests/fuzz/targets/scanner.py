"""Any bytes in any slices are the same frames, little is held back, and a length that cannot be ends the stream.

Input: choices of the limit, of what is watched and of the slices, then the bytes of the stream: as they are, or frame
by frame. What is expected is computed from the length of each frame alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.reader import Reader
from trunkline.protocol.scanner import FrameCutter, cut_stream

WHOLE_BYTES = 65536
LIMITS = (100, 4096, 65535, 65536, 1 << 20, 0x7FFFFFFF)
WATCHED = (b"", b"Q", b"PDCB", bytes(range(256)))
LENGTHS = (0, 3, 4, 5, 100, 101, 4096, 4097, 65535, 65536, 65537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
REPEATED = 300  # times the bytes of a chunk: enough for frames above what is kept whole

Frames = list[tuple[int, int]]


def check(data: bytes) -> None:
    reader = Reader(data)
    limit, watched = reader.pick(LIMITS), reader.pick(WATCHED)
    step = reader.pick((1, 2, 3, 5, 7, 64, 4095, 4096, 65536))
    stream = b"".join(read_frames(reader)) if reader.byte() & 1 else reader.rest()
    step = max(step, len(stream) // 200)  # each slice costs a copy of what is held
    slices = [stream[start : start + step] for start in range(0, len(stream), step)]
    check_link(stream, slices, watched, limit)
    check_cutter(stream, slices, limit)


def read_frames(reader: Reader) -> Iterator[bytes]:
    """Frames with bodies of their length, but for some."""
    while reader:
        kind, choice = bytes([reader.byte()]), reader.byte()
        body = reader.chunk() * (REPEATED if choice == 254 else 1)
        length = len(body) + 4 if choice > len(LENGTHS) - 1 else LENGTHS[choice]
        yield kind + length.to_bytes(4, "big") + body


def check_link(stream: bytes, slices: list[bytes], watched: bytes, limit: int) -> None:
    frames, bad = expected(stream, limit)
    for pieces in ([stream], slices):
        seen, kept, ended = cut_stream(pieces, watched, limit)
        assert ended == bad
        # An unfinished frame at the end is reported or not, by whether its type is watched.
        assert seen in (frames, frames[:-1])
        assert kept < WHOLE_BYTES


def check_cutter(stream: bytes, slices: list[bytes], limit: int) -> None:
    cutter = FrameCutter(limit)
    frames, bad = expected(stream, limit)
    seen: list[tuple[int, bytes]] = []
    try:
        for piece in slices:
            seen += cutter.feed(piece)
    except ValueError:
        assert bad or any(size > WHOLE_BYTES for _, size in frames)
        return
    assert not bad
    assert [(kind, len(body) + 5) for kind, body in seen] == frames[: len(seen)]
    assert cutter.pending_bytes + sum(len(body) + 5 for _, body in seen) == len(stream)
    assert (
        b"".join(bytes([kind]) + (len(body) + 4).to_bytes(4, "big") + body for kind, body in seen)
        == (stream[: len(stream) - cutter.pending_bytes])
    )


def expected(stream: bytes, limit: int) -> tuple[Frames, bool]:
    """The frames whose header is there, and whether one of them cannot be."""
    frames: Frames = []
    at = 0
    while at + 5 <= len(stream):
        length = int.from_bytes(stream[at + 1 : at + 5], "big")
        if not 4 <= length <= min(limit, 0x7FFFFFFF):
            return frames, True
        frames.append((stream[at], length + 1))
        at += length + 1
    return frames, False
