"""Any bytes before login give a request, a wait or a refusal, and the same one however they are cut."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from trunkline import errors
from trunkline.protocol.options import parse_options, split_options
from trunkline.protocol.startup import (
    MAX_STARTUP_BYTES,
    CancelRequest,
    GSSENCRequest,
    Negotiation,
    SSLRequest,
    StartupMessage,
    parse_startup,
)

REQUESTS = (SSLRequest, GSSENCRequest, CancelRequest, StartupMessage)

codes = st.sampled_from([(3, 0), (3, 1), (3, 2), (3, 9999), (2, 0), (4, 0), (1234, 5678), (1234, 5679), (1234, 5680)])
words = st.sampled_from([b"user", b"database", b"replication", b"options", b"_pq_.x", b"", b"ann"]) | st.binary(
    max_size=9
)
bodies = st.binary(max_size=300) | st.lists(words, max_size=9).map(
    lambda some: b"".join(w + b"\0" for w in some) + b"\0"
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Bytes that get past the header, most of the time."""
    body = draw(bodies)
    length = len(body) + 8 + draw(st.sampled_from([0, 0, 0, 0, -1, 1, 10_000]))
    return struct.pack("!iHH", length, *draw(codes)) + body + draw(st.binary(max_size=3))


anything = st.binary(max_size=64) | packets()


def outcome(data: bytes) -> object:
    try:
        return parse_startup(data)
    except errors.TrunklineError as refused:
        return type(refused), refused.message


@given(anything)
@example(b"\0\0\0\x09\0\x03\0\0\0")
def test_any_bytes_give_a_request_a_wait_or_a_refusal(data: bytes) -> None:
    result = outcome(data)
    if result is None:
        assert len(data) < MAX_STARTUP_BYTES
    elif isinstance(result[0], REQUESTS):  # type: ignore[index]
        assert 8 <= result[1] <= len(data)  # type: ignore[index]


@given(anything, st.lists(st.integers(1, 40), max_size=30))
def test_however_the_bytes_are_cut_the_outcome_is_the_same(data: bytes, cuts: list[int]) -> None:
    received = bytearray()
    rest = memoryview(data)
    result = None
    for size in [*cuts, len(data)]:
        received += rest[:size]
        rest = rest[size:]
        result = outcome(bytes(received))
        if result is not None:
            break
    assert result == outcome(data)


@given(st.lists(packets(), max_size=12), st.booleans())
def test_any_conversation_ends_after_a_few_requests(conversation: list[bytes], tls_offered: bool) -> None:
    negotiation = Negotiation(tls_offered=tls_offered)
    accepted = 0
    for data in conversation:
        try:
            parsed = parse_startup(data)
            if parsed is None:
                break
            negotiation.feed(parsed[0])
        except errors.TrunklineError:
            break
        accepted += 1
    assert accepted <= 3


option_bytes = st.binary(max_size=200) | st.lists(
    st.sampled_from([b"-", b"--", b"c", b"=", b" ", b"\\", b"-c ", b"--a=b", b"-e", b"x", b"-S 1", b"\xff"]),
    max_size=60,
).map(b"".join)


@given(option_bytes)
def test_any_options_give_settings_with_names_or_a_refusal(value: bytes) -> None:
    try:
        settings = parse_options(value)
    except errors.InvalidStartupOption:
        return
    assert all(name for name, _ in settings)


@given(st.lists(st.binary(min_size=1).filter(lambda word: b"\0" not in word), max_size=9))
def test_escaped_words_come_back_as_they_were(words: list[bytes]) -> None:
    escaped = (b"".join(b"\\" + bytes([byte]) for byte in word) for word in words)
    assert split_options(b" ".join(escaped)) == words
