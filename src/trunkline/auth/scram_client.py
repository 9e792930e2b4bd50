"""SCRAM-SHA-256 as the side that proves itself: what we are towards a server (libpq's fe-auth-scram.c).

The server is not trusted until ``on_server_final`` returned: everything before it may come from anybody who answered on
that address. So each message is bounded, its syntax is taken strictly, and the iteration count has a cap.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from trunkline import errors
from trunkline.auth import scram

MAX_ITERATIONS: Final = 100_000


@dataclass(frozen=True, slots=True)
class ScramChallenge:
    """What the keys have to be derived with."""

    salt: bytes
    iterations: int


class ScramClient:
    """One exchange; ``channel_binding`` is the hash of the server's certificate, None without TLS."""

    __slots__ = ("_binding", "_first_bare", "_header", "_message", "_nonce", "_server_key", "mechanism")

    def __init__(self, offered: Collection[str], channel_binding: bytes | None, nonce: bytes) -> None:
        bound = channel_binding is not None and scram.SHA_256_PLUS in offered
        if not bound and scram.SHA_256 not in offered:
            raise errors.ServerUnavailable("the server offers no SASL mechanism that can be used")
        self.mechanism = scram.SHA_256_PLUS if bound else scram.SHA_256
        self._header = _gs2_header(bound, can_bind=channel_binding is not None)
        self._binding = channel_binding if bound and channel_binding is not None else b""
        self._nonce = nonce
        # PostgreSQL takes the user from the startup packet; libpq sends an empty name, and so do we.
        self._first_bare = b"n=,r=" + nonce
        self._message = self._server_key = b""

    def first(self) -> tuple[str, bytes]:
        """The mechanism and client-first-message."""
        return self.mechanism, self._header + self._first_bare

    def on_server_first(self, server_first: bytes) -> ScramChallenge:
        try:
            scram.check_size(server_first)
            nonce, rest = scram.take_attribute(server_first, "r")
            salt_text, rest = scram.take_attribute(rest, "s")
            iterations, rest = scram.take_attribute(rest, "i")
            salt = scram.decode_base64(salt_text)
        except scram.Malformed as malformed:
            raise _violation(malformed) from None
        if rest or not salt:
            raise errors.ServerProtocolViolation("malformed SCRAM message from the server")
        self._check_nonce(nonce)
        self._message = self._first_bare + b"," + server_first
        return ScramChallenge(salt, _iterations(iterations))

    def continue_with(self, keys: scram.ScramKeys) -> bytes:
        """client-final-message, proved with the keys for the challenge."""
        binding = scram.encode_base64(self._header + self._binding)
        without_proof = b"c=%b,r=%b" % (binding, self._nonce)
        self._message += b"," + without_proof
        self._server_key = keys.server_key
        return without_proof + b",p=" + scram.encode_base64(scram.client_proof(keys, self._message))

    def on_server_final(self, server_final: bytes) -> None:
        """Return only if the server proved that it knows the secret too."""
        if server_final.startswith(b"e="):  # its words stay unread: it has not proved who it is
            raise errors.ServerUnavailable("the server refused the SCRAM exchange")
        try:
            scram.check_size(server_final)
            value, rest = scram.take_attribute(server_final, "v")
            signature = scram.decode_base64(value)
        except scram.Malformed as malformed:
            raise _violation(malformed) from None
        expected = scram.server_signature(self._server_key, self._message)
        if rest or not hmac.compare_digest(signature, expected):
            raise errors.ServerProtocolViolation("incorrect server signature")

    def _check_nonce(self, nonce: bytes) -> None:
        """The server repeats our half and adds its own; a nonce that is only ours would allow a replay."""
        grown = len(nonce) > len(self._nonce) and nonce.startswith(self._nonce)
        if not grown or not scram.is_printable(nonce):
            raise errors.ServerProtocolViolation("invalid SCRAM response from the server (nonce mismatch)")
        self._nonce = nonce


def _gs2_header(bound: bool, *, can_bind: bool) -> bytes:
    """``y`` tells the server that we could bind: if it can too, somebody has tampered with its list."""
    if bound:
        return scram.PLUS_HEADER
    return b"y,," if can_bind else b"n,,"


def _iterations(text: bytes) -> int:
    """The count is the server's choice and our CPU: above the cap it is an attack (CVE-2026-42198's class)."""
    if not text.isdigit() or len(text) > 10 or not 0 < int(text) <= MAX_ITERATIONS:
        raise errors.ServerProtocolViolation("invalid SCRAM iteration count from the server")
    return int(text)


def _violation(reason: scram.Malformed) -> errors.ServerProtocolViolation:
    return errors.ServerProtocolViolation("malformed SCRAM message from the server", detail=str(reason))
