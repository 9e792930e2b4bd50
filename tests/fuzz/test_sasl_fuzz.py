"""Any bytes in any authentication message, either way, give a reply or one of our own errors, and never a login."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from trunkline import errors
from trunkline.auth import scram
from trunkline.auth.login import ClientAuthentication
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, Derive, Reply
from trunkline.auth.secret import LoginSeed, Secret
from trunkline.auth.server_login import ServerAuthentication

SEED = LoginSeed(b"s" * 32)
KEYS = scram.derive("pencil", b"0123456789abcdef", 4096)
STORED = Secret.parse(scram.ScramSecret.of(KEYS, b"0123456789abcdef", 4096).format())
WRONG = scram.ScramKeys.of(b"w" * 32, b"w" * 32)
REFUSALS = (
    errors.ProtocolViolation,
    errors.AuthenticationFailed,
    errors.NotAuthorized,
    errors.UnsupportedProtocol,
)
OUR_NONCE = scram.encode_base64(b"\x01" * 18)

_ATTRIBUTES = (
    b"n y p=tls-server-end-point n= n=ann a=bob m=x c=biws c=eSws r= x=1 r=abc s=MDEy s= s=! i=1 i=0 i=2147483647 i=-1 "
    b"p= v= e=x p=%(zero)b v=%(zero)b r=abc%(ours)b r=%(ours)b r=%(ours)bserver"
) % {b"zero": b"A" * 43 + b"=", b"ours": OUR_NONCE}
attributes = st.sampled_from([b"", *_ATTRIBUTES.split()]) | st.binary(max_size=12)
scram_messages = st.lists(attributes, max_size=8).map(b",".join) | st.binary(max_size=1100)


@st.composite
def initial_responses(draw: st.DrawFn) -> bytes:
    data = draw(scram_messages)
    mechanism = draw(st.sampled_from([b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS", b""]) | st.binary(max_size=9))
    size = draw(st.sampled_from([len(data), len(data), len(data), -1, 0, 2**31 - 1, -(2**31)]))
    return mechanism + b"\0" + struct.pack("!i", size) + data


client_bodies = initial_responses() | scram_messages | st.binary(max_size=64).map(lambda data: data + b"\0")
server_messages = st.tuples(
    st.sampled_from([*AuthCode]) | st.integers(-(2**31), 2**31 - 1),
    scram_messages | st.sampled_from([b"", b"salt", b"SCRAM-SHA-256\0\0", b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"]),
)


@given(
    st.sampled_from(["plain", "md5", "scram-sha-256"]),
    st.sampled_from([None, STORED, Secret.parse("a password that is not in the dictionary")]),
    st.booleans(),
    st.lists(client_bodies, min_size=1, max_size=5),
)
def test_no_message_of_a_client_logs_it_in_without_the_secret(
    auth_type: str, secret: Secret | None, tls: bool, bodies: list[bytes]
) -> None:
    login = ClientAuthentication(
        auth_type, "ann", secret, seed=SEED, tls=tls, certificate_hash=b"h" * 32, rng=lambda size: b"\x01" * size
    )
    reply: Reply = login.start()
    with contextlib.suppress(
        errors.ProtocolViolation, errors.AuthenticationFailed, errors.NotAuthorized, errors.UnsupportedProtocol
    ):
        for body in bodies:
            reply = login.feed(body)
            if isinstance(reply, Derive):
                reply = login.derived(WRONG)
            assert not isinstance(reply, Accept)


@given(scram_messages)
def test_any_first_message_is_answered_or_refused(body: bytes) -> None:
    login = ClientAuthentication("scram-sha-256", "ann", STORED, seed=SEED)
    login.start()
    data = b"SCRAM-SHA-256\0" + struct.pack("!i", len(body)) + body
    with contextlib.suppress(errors.ProtocolViolation, errors.UnsupportedProtocol):
        login.feed(data)


@given(scram_messages)
def test_any_final_message_without_a_proof_is_refused(body: bytes) -> None:
    login = ClientAuthentication("scram-sha-256", "ann", STORED, seed=SEED, rng=lambda size: b"\x01" * size)
    login.start()
    login.feed(b"SCRAM-SHA-256\0" + struct.pack("!i", 11) + b"n,,n=,r=abc")
    try:
        login.feed(body)
    except (errors.ProtocolViolation, errors.AuthenticationFailed):
        return
    raise AssertionError("accepted")


@given(st.booleans(), st.lists(server_messages, min_size=1, max_size=6))
def test_no_server_is_believed_that_began_sasl_and_proved_nothing(
    tls: bool, conversation: list[tuple[int, bytes]]
) -> None:
    login = ServerAuthentication(
        "ann", "pencil", tls_certificate_hash=b"h" * 32 if tls else None, rng=lambda size: b"\x01" * size
    )
    login.feed(AuthCode.SASL, b"SCRAM-SHA-256\0\0")
    with contextlib.suppress(errors.ServerUnavailable, errors.ServerProtocolViolation):
        for code, body in conversation:
            reply = login.feed(code, body)
            if isinstance(reply, Derive):
                assert reply.iterations <= 100_000
                reply = login.derived(WRONG)
            assert not isinstance(reply, Accept)


@given(server_messages)
def test_any_first_message_of_a_server_is_answered_or_refused(message: tuple[int, bytes]) -> None:
    login = ServerAuthentication("ann", "pencil", tls_certificate_hash=b"h" * 32)
    with contextlib.suppress(errors.ServerUnavailable, errors.ServerProtocolViolation):
        login.feed(*message)
