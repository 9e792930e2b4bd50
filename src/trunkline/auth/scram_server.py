"""SCRAM-SHA-256 as the side that checks: what we are towards a client (PostgreSQL's auth-scram.c).

The order is first, read_final, verify. Salt and count are all that the first message needs, so the keys of a plain-text
password may be derived as late as before ``verify``: by then a real and an unknown user have seen the same bytes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from trunkline import errors
from trunkline.auth import scram


class ScramServer:
    """One exchange; ``channel_binding`` is the hash of our certificate where SCRAM-SHA-256-PLUS was offered."""

    __slots__ = ("_binding", "_challenge", "_first_bare", "_header", "_mechanism", "_message", "_nonce", "_proof")

    def __init__(
        self, mechanism: str, channel_binding: bytes | None, challenge: tuple[bytes, int], nonce: bytes
    ) -> None:
        """``challenge`` is (salt, iterations); ``nonce`` is our printable half of the nonce."""
        self._mechanism = mechanism
        self._binding = channel_binding
        self._challenge = challenge
        self._nonce = nonce
        self._header = self._first_bare = self._message = self._proof = b""

    def first(self, client_first: bytes) -> bytes:
        """Read client-first-message; the answer is server-first-message."""
        try:
            scram.check_size(client_first)
            self._header = self._read_gs2_header(client_first)
            self._first_bare = client_first[len(self._header) :]
            client_nonce = self._read_client_nonce()
        except scram.Malformed as malformed:
            raise _malformed(malformed) from None
        self._nonce = client_nonce + self._nonce
        salt, iterations = self._challenge
        server_first = b"r=%b,s=%b,i=%d" % (self._nonce, scram.encode_base64(salt), iterations)
        self._message = self._first_bare + b"," + server_first
        return server_first

    def read_final(self, client_final: bytes) -> None:
        """Read client-final-message and check all of it but the proof."""
        try:
            scram.check_size(client_final)
            binding, rest = scram.take_attribute(client_final, "c")
            nonce, rest = scram.take_attribute(rest, "r")
            without_proof, proof = _split_proof(client_final, rest)
        except scram.Malformed as malformed:
            raise _malformed(malformed) from None
        self._check_binding(binding)
        if not hmac.compare_digest(nonce, self._nonce):
            raise errors.ProtocolViolation("invalid SCRAM response", detail="Nonce does not match.")
        self._message += b"," + without_proof
        self._proof = proof

    def verify(self, keys: scram.ScramSecret | scram.ScramKeys) -> tuple[bytes, bytes] | None:
        """server-final-message and the client's key, or None where the proof is wrong."""
        client_key = scram.recover_client_key(keys.stored_key, self._proof, self._message)
        signature = scram.server_signature(keys.server_key, self._message)
        return None if client_key is None else (b"v=" + scram.encode_base64(signature), client_key)

    def _read_gs2_header(self, message: bytes) -> bytes:
        check = _FLAGS.get(message[:1])
        if check is None:
            raise scram.Malformed(f'Unexpected channel-binding flag "{scram.show_byte(message)}".')
        flag, comma, rest = message.partition(b",")
        check(self, flag)
        if not comma:
            raise scram.Malformed('Comma expected, but found character "0x00".')
        if rest.startswith(b"a"):
            raise errors.UnsupportedProtocol("client uses authorization identity, but it is not supported")
        if not rest.startswith(b","):
            raise scram.Malformed(f'Unexpected attribute "{scram.show_byte(rest)}" in client-first-message.')
        return flag + b",,"

    def _read_client_nonce(self) -> bytes:
        if self._first_bare.startswith(b"m"):
            raise errors.UnsupportedProtocol("client requires an unsupported SCRAM extension")
        _, rest = scram.take_attribute(self._first_bare, "n")  # ignored: the user is that of the startup packet
        nonce, rest = scram.take_attribute(rest, "r")
        if not scram.is_printable(nonce):
            raise errors.ProtocolViolation("non-printable characters in SCRAM nonce")
        while rest:
            rest = scram.skip_extension(rest)
        return nonce

    def _check_plain_flag(self, flag: bytes) -> None:
        """``n``: the client cannot bind. ``y``: it can, and thinks that we cannot."""
        if self._mechanism == scram.SHA_256_PLUS:
            raise scram.Malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data."
            )
        if len(flag) != 1:
            raise scram.Malformed(f'Comma expected, but found character "{scram.show_byte(flag[1:])}".')
        if flag == b"y" and self._binding is not None:  # somebody between us took PLUS off our list
            raise errors.NotAuthorized(
                "SCRAM channel binding negotiation error",
                detail="The client supports SCRAM channel binding but thinks the server does not.  "
                "However, this server does support channel binding.",
            )

    def _check_binding_flag(self, flag: bytes) -> None:
        if self._mechanism != scram.SHA_256_PLUS:
            raise scram.Malformed(
                "The client selected SCRAM-SHA-256 without channel binding, "
                "but the SCRAM message includes channel binding data."
            )
        kind, _ = scram.take_attribute(flag, "p")
        if kind != b"tls-server-end-point":
            shown = kind.decode("ascii", "backslashreplace")
            raise errors.ProtocolViolation(f'unsupported SCRAM channel-binding type "{shown}"')

    def _check_binding(self, received: bytes) -> None:
        """The binding repeats the GS2 header, so that nobody could have changed the flag on its way."""
        bound = (self._binding or b"") if self._mechanism == scram.SHA_256_PLUS else b""
        if hmac.compare_digest(received, scram.encode_base64(self._header + bound)):
            return
        if bound:
            raise errors.NotAuthorized("SCRAM channel binding check failed")
        raise errors.ProtocolViolation("unexpected SCRAM channel-binding attribute in client-final-message")


_FLAGS: Final[dict[bytes, Callable[[ScramServer, bytes], None]]] = {
    b"n": ScramServer._check_plain_flag,
    b"y": ScramServer._check_plain_flag,
    b"p": ScramServer._check_binding_flag,
}


def _split_proof(client_final: bytes, rest: bytes) -> tuple[bytes, bytes]:
    """What the proof signs, and the proof: the last attribute, behind any number of extensions."""
    while not rest.startswith(b"p"):
        rest = scram.skip_extension(rest)
    without_proof = client_final[: -len(rest) - 1]
    value, garbage = scram.take_attribute(rest, "p")
    if garbage:
        raise scram.Malformed("Garbage found at the end of client-final-message.")
    try:
        proof = scram.decode_base64(value)
    except scram.Malformed:
        proof = b""
    if len(proof) != scram.KEY_BYTES:
        raise scram.Malformed("Malformed proof in client-final-message.")
    return without_proof, proof


def _malformed(reason: scram.Malformed) -> errors.ProtocolViolation:
    return errors.ProtocolViolation("malformed SCRAM message", detail=str(reason))
