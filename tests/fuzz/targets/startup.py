"""Any bytes before login are a request, a wait or a refusal in our own words, and the same one however they are cut.

Input: choices, the sizes of slices, then the bytes of the connection: as they are, or packet by packet, so that most of
them get past their header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.fuzz.reader import Reader
from trunkline import errors
from trunkline.protocol.options import parse_options
from trunkline.protocol.startup import (
    MAX_NAME_BYTES,
    MAX_STARTUP_BYTES,
    Negotiation,
    StartupMessage,
    negotiate_protocol_version,
    parse_startup,
)

CODES = ((3, 0), (3, 2), (3, 1), (3, 9999), (2, 0), (4, 0), (1234, 5678), (1234, 5679), (1234, 5680))
WRONG_BY = (0, 0, 0, 0, 0, -1, 1, 10_000)
MAX_REQUESTS = 3  # SSLRequest, GSSENCRequest, and what ends the negotiation

Outcome = list[object]


def check(data: bytes) -> None:
    reader = Reader(data)
    tls_offered, packets = reader.pick(((False, False), (True, False), (False, True), (True, True)))
    sizes = [reader.byte() for _ in range(4)]
    stream = b"".join(read_packets(reader)) if packets else reader.rest()
    whole = converse([stream], tls_offered)
    assert whole == converse(cut(stream, sizes), tls_offered)


def read_packets(reader: Reader) -> Iterator[bytes]:
    while reader:
        code, wrong_by, body = reader.pick(CODES), reader.pick(WRONG_BY), reader.chunk()
        yield struct.pack("!iHH", 8 + len(body) + wrong_by, *code) + body


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    return [*pieces, stream]


def converse(pieces: list[bytes], tls_offered: bool) -> Outcome:
    """What came of a connection on which these pieces arrive, one after the other."""
    negotiation = Negotiation(tls_offered=tls_offered)
    received = b""
    outcome: Outcome = []
    for piece in pieces:
        received += piece
        try:
            while (parsed := parse_startup(received)) is not None:
                request, used = parsed
                assert 8 <= used <= min(len(received), MAX_STARTUP_BYTES)
                received = received[used:]
                # The bytes behind a request are not told: whether they are here yet is what the cut changes.
                outcome += [request, negotiation.feed(request)]
                inspect(request)
        except errors.TrunklineError as refusal:
            return [*outcome, type(refusal), refusal.message]
        assert len(received) < MAX_STARTUP_BYTES
    assert len(outcome) <= 2 * MAX_REQUESTS
    return outcome


def inspect(request: object) -> None:
    if not isinstance(request, StartupMessage):
        return
    assert 0 < len(request.user) <= MAX_NAME_BYTES
    assert len(request.database) <= MAX_NAME_BYTES
    assert request.major == 3
    answer = negotiate_protocol_version(request.minor, request.unknown_options)
    assert not answer or int.from_bytes(answer[1:5], "big") == len(answer) - 1
    options = request.parameters.get(b"options")
    if options is not None:
        assert all(name for name, _ in parse_options(options))
