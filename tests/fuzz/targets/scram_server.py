"""Whatever a client says in any message of its login, it is answered or refused, and never let in without the secret.

Input: choices of method, secret and TLS, then messages. ``%N`` in a message stands for our half of the nonce, which a
real client has read by then.
"""

from __future__ import annotations

import contextlib
import struct

from tests.fuzz.reader import Reader
from trunkline import errors
from trunkline.auth import scram
from trunkline.auth.login import ClientAuthentication
from trunkline.auth.replies import Accept, Derive, Reply
from trunkline.auth.secret import LoginSeed, Secret

SEED = LoginSeed(b"s" * 32)
KEYS = scram.derive("pencil", b"0123456789abcdef", 4096)
SECRETS = (
    None,
    Secret.parse(scram.ScramSecret.of(KEYS, b"0123456789abcdef", 4096).format()),
    Secret.parse("md5" + "0123456789abcdef" * 2),
    Secret.parse("a password that is not in the dictionary"),
)
WRONG = scram.ScramKeys.of(b"w" * 32, b"w" * 32)
METHODS = ("scram-sha-256", "md5", "plain")
MECHANISMS = (b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS")
NONCE = scram.encode_base64(b"\x01" * 18)
REFUSALS = (
    errors.ProtocolViolation,
    errors.AuthenticationFailed,
    errors.NotAuthorized,
    errors.UnsupportedProtocol,
)


def check(data: bytes) -> None:
    reader = Reader(data)
    login = ClientAuthentication(
        reader.pick(METHODS),
        "ann",
        reader.pick(SECRETS),
        seed=SEED,
        tls=True,
        certificate_hash=reader.pick((None, b"h" * 32)),
        rng=lambda size: b"\x01" * size,
    )
    with contextlib.suppress(*REFUSALS):
        reply: Reply = login.start()
        while reader:
            reply = login.feed(message(reader))
            if isinstance(reply, Derive):
                reply = login.derived(WRONG)
            assert not isinstance(reply, Accept)


def message(reader: Reader) -> bytes:
    """As it came, or as the first message of a SASL mechanism with a true or an untrue length."""
    shape = reader.byte() % 4
    body = reader.chunk().replace(b"%N", NONCE)
    if shape == 0:
        return body
    size = len(body) if shape < 3 else struct.unpack("!i", reader.take(4).rjust(4, b"\xff"))[0]
    return MECHANISMS[shape == 2] + b"\0" + struct.pack("!i", size) + body
