"""Whatever a server says while we log in is answered or refused; one that began SASL proves itself or is not believed.

And where channel binding is required, neither a password nor a hash leaves for a server that asks for it without.
Input: choices of what is known and of TLS, then messages. ``%N`` in a message stands for our half of the nonce.
"""

from __future__ import annotations

import contextlib
import struct

from tests.fuzz.reader import Reader
from trunkline import errors
from trunkline.auth import scram
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, Derive, Reply, Send
from trunkline.auth.scram_client import MAX_ITERATIONS
from trunkline.auth.secret import Secret
from trunkline.auth.server_login import ServerAuthentication

WRONG = scram.ScramKeys.of(b"w" * 32, b"w" * 32)
KEYS = scram.derive("pencil", b"0123456789abcdef", 4096)
STORED = Secret.parse(scram.ScramSecret.of(KEYS, b"0123456789abcdef", 4096).format())
KNOWN = (
    {"password": "pencil"},
    {"secret": Secret.parse("md5" + "0123456789abcdef" * 2)},
    {"secret": STORED, "scram_keys": (KEYS.client_key, KEYS.server_key)},
    {},
)
NONCE = scram.encode_base64(b"\x01" * 18)
CODES = tuple(int(code) for code in AuthCode)


def check(data: bytes) -> None:
    reader = Reader(data)
    known, bound = reader.pick(KNOWN), bool(reader.byte() & 1)
    login = ServerAuthentication(
        "ann",
        **known,  # type: ignore[arg-type]
        tls_certificate_hash=reader.pick((None, b"h" * 32)),
        require_channel_binding=bound,
        rng=lambda size: b"\x01" * size,
    )
    sasl = False
    with contextlib.suppress(errors.ServerUnavailable, errors.ServerProtocolViolation, errors.ServerRefused):
        while reader:
            code = read_code(reader)
            reply: Reply = login.feed(code, reader.chunk().replace(b"%N", NONCE))
            sasl |= code == AuthCode.SASL
            if isinstance(reply, Derive):
                assert 0 < reply.iterations <= MAX_ITERATIONS
                reply = login.derived(WRONG)
            assert not (isinstance(reply, Accept) and (sasl or bound))
            assert not (isinstance(reply, Send) and bound and not sasl)


def read_code(reader: Reader) -> int:
    """One that exists, or any number at all."""
    choice = reader.byte()
    if choice < 2 * len(CODES):
        return CODES[choice % len(CODES)]
    number: int = struct.unpack("!i", reader.take(4).ljust(4, b"\0"))[0]
    return number
