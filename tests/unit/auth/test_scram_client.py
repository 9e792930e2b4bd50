"""SCRAM as the proving side: scramp as the server, then every way in which a server can be hostile."""

from __future__ import annotations

import pytest
import scramp

from tests.unit.auth.exchange import CERTIFICATE_HASH
from trunkline import errors
from trunkline.auth import scram
from trunkline.auth.scram_client import MAX_ITERATIONS, ScramChallenge, ScramClient

BOTH = (scram.SHA_256_PLUS, scram.SHA_256)
SALT = b"0123456789abcdef"
KEYS = scram.derive("pencil", SALT, 4096)
FIRST = b"r=clientnonceserver,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096"


def client(offered: tuple[str, ...] = (scram.SHA_256,), binding: bytes | None = None) -> ScramClient:
    return ScramClient(offered, binding, b"clientnonce")


@pytest.mark.parametrize("mechanism", BOTH)
def test_a_server_that_knows_the_secret_is_believed(mechanism: str) -> None:
    plus = mechanism == scram.SHA_256_PLUS
    info = scramp.ScramMechanism(mechanism).make_auth_info("pencil", 4096, SALT)
    server = scramp.ScramMechanism(mechanism).make_server(
        lambda user: info, channel_binding=("tls-server-end-point", CERTIFICATE_HASH) if plus else None
    )
    us = client((mechanism,), CERTIFICATE_HASH if plus else None)
    us._first_bare = b"n=ann,r=clientnonce"  # scramp insists on a name; libpq, and so we, send none
    chosen, first = us.first()
    assert chosen == mechanism
    server.set_client_first(first.decode())
    challenge = us.on_server_first(server.get_server_first().encode())
    assert challenge == ScramChallenge(SALT, 4096)
    server.set_client_final(us.continue_with(KEYS).decode())
    us.on_server_final(server.get_server_final().encode())


@pytest.mark.parametrize(
    "offered, binding, header",
    [
        ((scram.SHA_256,), None, b"n,,"),
        (BOTH, None, b"n,,"),
        ((scram.SHA_256,), CERTIFICATE_HASH, b"y,,"),
        (BOTH, CERTIFICATE_HASH, b"p=tls-server-end-point,,"),
    ],
)
def test_binding_is_used_where_both_sides_can(offered: tuple[str, ...], binding: bytes | None, header: bytes) -> None:
    mechanism, first = client(offered, binding).first()
    assert first == header + b"n=,r=clientnonce"
    assert (mechanism == scram.SHA_256_PLUS) is header.startswith(b"p")


@pytest.mark.parametrize("offered", [(), ("SCRAM-SHA-1", "OAUTHBEARER"), (scram.SHA_256_PLUS,)])
def test_no_usable_mechanism_is_said_so(offered: tuple[str, ...]) -> None:
    with pytest.raises(errors.ServerUnavailable, match="no SASL mechanism"):
        client(offered)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"r=clientnonceserver",
        b"r=clientnonceserver,s=MDEy",
        b"r=clientnonceserver,i=4096,s=MDEy",
        b"s=MDEy,r=clientnonceserver,i=4096",
        b"r=clientnonceserver,r=clientnonceserver,s=MDEy,i=4096",
        b"m=x,r=clientnonceserver,s=MDEy,i=4096",
        b"r=clientnonceserver,s=MDEy,i=4096,x=1",
        b"r=clientnonceserver,s=,i=4096",
        b"r=clientnonceserver,s=!,i=4096",
        b"r=clientnonce,s=MDEy,i=4096",
        b"r=clientnonc,s=MDEy,i=4096",
        b"r=otherclientnonce,s=MDEy,i=4096",
        b"r=clientnonce\xff,s=MDEy,i=4096",
        b"r=clientnonce" + b"n" * 1024 + b",s=MDEy,i=4096",
        b"r=clientnonceserver,s=" + b"MDEy" * 300 + b",i=4096",
        b"e=other-error",
        FIRST + b"\0",
    ],
)
def test_a_malformed_challenge_is_refused(message: bytes) -> None:
    with pytest.raises(errors.ServerProtocolViolation):
        client().on_server_first(message)


@pytest.mark.parametrize(
    "count", [b"", b"0", b"-1", b"+1", b" 1", b"1e3", b"100001", b"2147483647", b"4294967297", b"9" * 500, "٤".encode()]
)
def test_an_iteration_count_outside_the_cap_is_refused(count: bytes) -> None:
    with pytest.raises(errors.ServerProtocolViolation, match="iteration count"):
        client().on_server_first(b"r=clientnonceserver,s=MDEy,i=" + count)


def test_an_iteration_count_at_the_cap_is_taken() -> None:
    challenge = client().on_server_first(b"r=clientnonceserver,s=MDEy,i=%d" % MAX_ITERATIONS)
    assert challenge.iterations == MAX_ITERATIONS


@pytest.mark.parametrize("message", [b"", b"v=", b"v=AAAA", b"v=!", b"v=" + b"A" * 43 + b"=", b"x=1", b"v"])
def test_a_server_that_does_not_prove_itself_is_refused(message: bytes) -> None:
    us = client()
    us.on_server_first(FIRST)
    us.continue_with(KEYS)
    with pytest.raises(errors.ServerProtocolViolation):
        us.on_server_final(message)


def test_garbage_behind_a_right_signature_is_refused() -> None:
    us = client()
    us.on_server_first(FIRST)
    final = us.continue_with(KEYS).rpartition(b",p=")[0]
    signature = scram.server_signature(KEYS.server_key, b"n=,r=clientnonce," + FIRST + b"," + final)
    with pytest.raises(errors.ServerProtocolViolation):
        us.on_server_final(b"v=" + scram.encode_base64(signature) + b",x=1")


def test_a_servers_words_are_not_repeated_before_it_proved_itself() -> None:
    with pytest.raises(errors.ServerUnavailable) as refused:
        client().on_server_final(b"e=please-mail-your-password")
    assert "mail" not in str(refused.value)
    assert refused.value.detail is None
