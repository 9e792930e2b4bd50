"""Our login to a server: every method with every kind of knowledge, and servers that cheat."""

from __future__ import annotations

import pytest

from tests.unit.auth.exchange import (
    CERTIFICATE_HASH,
    SEED,
    fixed_bytes,
    run_scram,
    scram_secret,
)
from trunkline import errors
from trunkline.auth import messages, scram
from trunkline.auth.login import ClientAuthentication
from trunkline.auth.md5 import md5_response, md5_secret
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, CacheScope, Derive, Reply, Send
from trunkline.auth.secret import Secret
from trunkline.auth.server_login import ServerAuthentication

PASSWORD = "pencil"
MD5 = Secret.parse(md5_secret("ann", PASSWORD))
SCRAM = scram_secret(PASSWORD)
BOTH = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
ONLY_PLAIN = b"SCRAM-SHA-256\0\0"


def login(password: str | None = PASSWORD, secret: Secret | None = None, **more: object) -> ServerAuthentication:
    return ServerAuthentication("ann", password, secret, rng=fixed_bytes, **more)  # type: ignore[arg-type]


def settle(machine: ServerAuthentication, reply: Reply) -> Reply:
    if isinstance(reply, Derive):
        assert reply.scope is CacheScope.KNOWN
        return machine.derived(scram.derive(reply.password, reply.salt, reply.iterations))
    return reply


def converse(us: ServerAuthentication, server: ClientAuthentication) -> Reply:
    """Our login, checked by our own other half, up to AuthenticationOk."""
    from_server = server.start()
    while True:
        while isinstance(from_server, Derive):
            from_server = server.derived(scram.derive(from_server.password, from_server.salt, from_server.iterations))
        reply = _deliver(us, from_server.payload)
        if isinstance(reply, Accept):
            return reply
        assert isinstance(reply, Send)
        from_server = server.feed(reply.payload[5:])


def _deliver(us: ServerAuthentication, payload: bytes) -> Reply:
    reply: Reply = Send(b"")
    while payload:
        length = int.from_bytes(payload[1:5], "big")
        code, body = int.from_bytes(payload[5:9], "big"), payload[9 : length + 1]
        reply = settle(us, us.feed(code, body))
        payload = payload[length + 1 :]
    return reply


def checked_by(auth_type: str, secret: Secret, tls: bool = False) -> ClientAuthentication:
    return ClientAuthentication(
        auth_type, "ann", secret, seed=SEED, tls=tls, certificate_hash=CERTIFICATE_HASH if tls else None
    )


# --- methods ----------------------------------------------------------------------------------------------------


def test_a_server_that_asks_nothing_is_accepted() -> None:
    assert login(None).feed(AuthCode.OK, b"") == Accept()


@pytest.mark.parametrize("auth_type", ["any", "plain", "md5", "scram-sha-256"])
@pytest.mark.parametrize("stored", [Secret.parse(PASSWORD), SCRAM])
@pytest.mark.parametrize("tls", [False, True])
def test_a_known_password_answers_every_method(auth_type: str, stored: Secret, tls: bool) -> None:
    us = login(tls_certificate_hash=CERTIFICATE_HASH if tls else None)
    assert isinstance(converse(us, checked_by(auth_type, stored, tls)), Accept)


def test_a_plain_secret_is_a_known_password() -> None:
    assert isinstance(converse(login(None, Secret.parse(PASSWORD)), checked_by("scram-sha-256", SCRAM)), Accept)


def test_an_md5_secret_answers_md5() -> None:
    assert login(None, MD5).feed(AuthCode.MD5_PASSWORD, b"salt") == Send(
        messages.response(md5_response(MD5.text, b"salt") + b"\0")
    )


@pytest.mark.parametrize("tls", [False, True])
def test_keys_that_a_client_proved_are_passed_through(tls: bool) -> None:
    _, accepted = run_scram(checked_by("scram-sha-256", SCRAM), PASSWORD)
    assert accepted.client_key is not None
    assert accepted.server_key is not None
    us = login(
        None,
        SCRAM,
        scram_keys=(accepted.client_key, accepted.server_key),
        tls_certificate_hash=CERTIFICATE_HASH if tls else None,
    )
    assert isinstance(converse(us, checked_by("scram-sha-256", SCRAM, tls)), Accept)


@pytest.mark.parametrize("other", [scram_secret(PASSWORD, salt=b"x" * 16), scram_secret(PASSWORD, iterations=5000)])
def test_keys_of_another_secret_than_the_servers_are_not_tried(other: Secret) -> None:
    keys = scram.derive(PASSWORD, b"0123456789abcdef", 4096)
    us = login(None, SCRAM, scram_keys=(keys.client_key, keys.server_key))
    with pytest.raises(errors.ServerRefused, match="stores another SCRAM secret"):
        converse(us, checked_by("scram-sha-256", other))


# --- what is never given away -----------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, MD5, SCRAM])
@pytest.mark.parametrize("password", [None, ""])
def test_nothing_is_sent_in_clear_where_only_a_hash_is_known(secret: Secret | None, password: str | None) -> None:
    keys = (b"c" * 32, b"s" * 32)
    with pytest.raises(errors.ServerRefused, match="a password in clear text"):
        login(password, secret, scram_keys=keys).feed(AuthCode.CLEARTEXT_PASSWORD, b"")


@pytest.mark.parametrize("secret", [None, SCRAM])
def test_md5_cannot_be_answered_from_a_scram_secret(secret: Secret | None) -> None:
    with pytest.raises(errors.ServerRefused, match="an md5 password"):
        login(None, secret).feed(AuthCode.MD5_PASSWORD, b"salt")


@pytest.mark.parametrize("secret", [None, MD5, SCRAM])
def test_scram_cannot_be_answered_from_a_stored_secret_alone(secret: Secret | None) -> None:
    with pytest.raises(errors.ServerRefused, match="SCRAM"):
        login(None, secret).feed(AuthCode.SASL, BOTH)


@pytest.mark.parametrize(
    "code, body",
    [
        (AuthCode.OK, b""),
        (AuthCode.CLEARTEXT_PASSWORD, b""),
        (AuthCode.MD5_PASSWORD, b"salt"),
        (AuthCode.SASL, ONLY_PLAIN),
    ],
)
def test_a_downgrade_is_refused_before_anything_leaves_where_binding_is_required(code: int, body: bytes) -> None:
    us = login(tls_certificate_hash=CERTIFICATE_HASH, require_channel_binding=True)
    with pytest.raises(errors.ServerUnavailable, match="channel binding required"):
        us.feed(code, body)


def test_required_binding_works_with_plus() -> None:
    us = login(tls_certificate_hash=CERTIFICATE_HASH, require_channel_binding=True)
    assert isinstance(converse(us, checked_by("scram-sha-256", SCRAM, tls=True)), Accept)


# --- servers that cheat -----------------------------------------------------------------------------------------


def begun() -> ServerAuthentication:
    us = login()
    assert isinstance(us.feed(AuthCode.SASL, BOTH), Send)
    return us


def proof_sent() -> ServerAuthentication:
    us = begun()
    nonce = scram.encode_base64(fixed_bytes(18))
    reply = us.feed(AuthCode.SASL_CONTINUE, b"r=" + nonce + b"server,s=MDEy,i=1")
    assert isinstance(settle(us, reply), Send)
    return us


def test_ok_before_the_server_proved_itself_is_refused() -> None:
    for us in (begun(), proof_sent()):
        with pytest.raises(errors.ServerProtocolViolation, match="before it proved itself"):
            us.feed(AuthCode.OK, b"")


def test_ok_during_the_derivation_is_refused() -> None:
    us = begun()
    nonce = scram.encode_base64(fixed_bytes(18))
    assert isinstance(us.feed(AuthCode.SASL_CONTINUE, b"r=" + nonce + b"server,s=MDEy,i=1"), Derive)
    with pytest.raises(errors.ServerProtocolViolation):
        us.feed(AuthCode.OK, b"")


def test_a_server_that_does_not_know_the_secret_is_refused() -> None:
    with pytest.raises(errors.ServerProtocolViolation, match="incorrect server signature"):
        proof_sent().feed(AuthCode.SASL_FINAL, b"v=" + b"A" * 43 + b"=")


@pytest.mark.parametrize(
    "code", [AuthCode.CLEARTEXT_PASSWORD, AuthCode.MD5_PASSWORD, AuthCode.SASL, AuthCode.SASL_FINAL]
)
def test_a_server_cannot_change_the_method_halfway(code: int) -> None:
    with pytest.raises(errors.ServerProtocolViolation):
        begun().feed(code, b"")


@pytest.mark.parametrize("code", [AuthCode.SASL_CONTINUE, AuthCode.SASL_FINAL, AuthCode.GSS_CONTINUE])
def test_a_method_cannot_begin_in_its_middle(code: int) -> None:
    with pytest.raises(errors.ServerProtocolViolation):
        login().feed(code, b"v=x")


def test_a_password_is_asked_for_once() -> None:
    us = login()
    us.feed(AuthCode.CLEARTEXT_PASSWORD, b"")
    with pytest.raises(errors.ServerProtocolViolation):
        us.feed(AuthCode.CLEARTEXT_PASSWORD, b"")


def test_nothing_comes_after_ok() -> None:
    us = login()
    us.feed(AuthCode.OK, b"")
    with pytest.raises(errors.ServerProtocolViolation):
        us.feed(AuthCode.OK, b"")


@pytest.mark.parametrize(
    "code, body",
    [
        (AuthCode.OK, b"x"),
        (AuthCode.CLEARTEXT_PASSWORD, b"x"),
        (AuthCode.MD5_PASSWORD, b""),
        (AuthCode.MD5_PASSWORD, b"salts"),
        (AuthCode.SASL, b""),
        (AuthCode.SASL, b"SCRAM-SHA-256"),
    ],
)
def test_a_message_of_the_wrong_size_is_refused(code: int, body: bytes) -> None:
    with pytest.raises(errors.ServerProtocolViolation):
        login().feed(code, body)


@pytest.mark.parametrize(
    "code, word",
    [(2, "Kerberos"), (6, "SCM"), (7, "GSSAPI"), (9, "SSPI"), (1, "method 1"), (99, "method 99"), (-1, "method -1")],
)
def test_an_unsupported_method_is_named(code: int, word: str) -> None:
    with pytest.raises(errors.ServerUnavailable, match=word):
        login().feed(code, b"")


def test_a_password_with_a_zero_byte_is_not_cut_short() -> None:
    with pytest.raises(errors.ServerUnavailable, match="zero byte"):
        login("pen\0cil").feed(AuthCode.CLEARTEXT_PASSWORD, b"")


def test_keys_that_were_not_asked_for_are_our_own_bug() -> None:
    with pytest.raises(errors.InternalError):
        login().derived(scram.ScramKeys.of(b"", b""))


def test_a_repr_shows_the_state_and_no_secret() -> None:
    assert repr(begun()) == "<ServerAuthentication 'ann' sasl_begun>"
