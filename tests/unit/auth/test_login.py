"""A client's login: each method, and that nothing tells an unknown user from a wrong password."""

from __future__ import annotations

import struct

import pytest

from tests.unit.auth.exchange import (
    CERTIFICATE_HASH,
    SEED,
    answers,
    fixed_bytes,
    run_scram,
    sasl_initial,
    scram_secret,
    settle,
    split,
)
from trunkline import errors
from trunkline.auth import messages, scram
from trunkline.auth.login import ClientAuthentication
from trunkline.auth.md5 import md5_response, md5_secret
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, CacheScope, Derive, Send
from trunkline.auth.secret import LoginSeed, Secret, SecretKind

PLAIN = Secret.parse("pencil")
MD5 = Secret.parse(md5_secret("ann", "pencil"))
SCRAM = scram_secret("pencil")
OK = messages.authentication(AuthCode.OK)
FAILED = r'^password authentication failed for user "ann"$'


def login(
    auth_type: str, secret: Secret | None = PLAIN, *, seed: LoginSeed = SEED, **more: object
) -> ClientAuthentication:
    return ClientAuthentication(auth_type, "ann", secret, seed=seed, rng=fixed_bytes, **more)  # type: ignore[arg-type]


def bound_login(secret: Secret | None = PLAIN) -> ClientAuthentication:
    return login("scram-sha-256", secret, tls=True, certificate_hash=CERTIFICATE_HASH)


# --- without a password -----------------------------------------------------------------------------------------


def test_any_accepts_whoever_comes() -> None:
    assert login("any", None).start() == Accept(OK)


def test_trust_accepts_a_known_user_only() -> None:
    assert login("trust").start() == Accept(OK)
    with pytest.raises(errors.NotAuthorized, match=r'role "[a-z]+" does not exist'):
        login("trust", None).start()


def test_cert_accepts_the_user_whom_the_certificate_names() -> None:
    assert login("cert", None, tls=True, certificate_user="ann").start() == Accept(OK)


@pytest.mark.parametrize("tls, certificate_user", [(True, None), (True, "bob"), (True, ""), (False, "ann")])
def test_cert_refuses_everybody_else(tls: bool, certificate_user: str | None) -> None:
    with pytest.raises(errors.NotAuthorized) as refused:
        login("cert", tls=tls, certificate_user=certificate_user).start()
    assert refused.value.sqlstate == "28000"


@pytest.mark.parametrize("auth_type", ["", "hba", "ldap"])
def test_an_auth_type_that_should_have_been_resolved_is_our_own_bug(auth_type: str) -> None:
    with pytest.raises(errors.InternalError):
        login(auth_type).start()


# --- plain ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", ["plain", "password"])
@pytest.mark.parametrize("secret", [PLAIN, MD5, SCRAM])
def test_a_password_in_clear_is_checked_against_every_kind_of_secret(auth_type: str, secret: Secret) -> None:
    machine = login(auth_type, secret)
    assert machine.start() == Send(messages.authentication(AuthCode.CLEARTEXT_PASSWORD))
    reply = settle(machine, machine.feed(b"pencil\0"))
    assert isinstance(reply, Accept)
    assert (reply.payload, reply.password) == (OK, b"pencil")
    assert (reply.client_key is not None) is (secret is SCRAM)


@pytest.mark.parametrize("secret", [PLAIN, MD5, SCRAM, None, Secret.parse("")])
@pytest.mark.parametrize("kind", SecretKind)
def test_a_wrong_password_in_clear_is_refused(secret: Secret | None, kind: SecretKind) -> None:
    machine = login("plain", secret, seed=LoginSeed(b"s" * 32, kind))
    machine.start()
    with pytest.raises(errors.AuthenticationFailed, match=FAILED):
        settle(machine, machine.feed(b"pen\0"))


@pytest.mark.parametrize("auth_type", ["plain", "md5"])
def test_an_empty_password_matches_not_even_an_empty_secret(auth_type: str) -> None:
    machine = login(auth_type, Secret.parse(""))
    machine.start()
    with pytest.raises(errors.AuthenticationFailed, match="empty password returned by client"):
        machine.feed(b"\0")


def test_keys_from_a_claimed_password_are_not_for_the_cache() -> None:
    machine = login("plain", SCRAM)
    machine.start()
    reply = machine.feed(b"guess\0")
    assert isinstance(reply, Derive)
    assert reply.scope is CacheScope.NEVER


def test_the_password_of_a_mock_opens_nothing() -> None:
    machine = login("plain", None)
    machine.start()
    with pytest.raises(errors.AuthenticationFailed, match=FAILED):
        machine.feed(SEED.mock("ann").raw + b"\0")


# --- md5 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [PLAIN, MD5])
def test_md5_accepts_the_digest_for_the_salt_sent(secret: Secret) -> None:
    machine = login("md5", secret)
    assert machine.start() == Send(messages.authentication(AuthCode.MD5_PASSWORD, b"\1\1\1\1"))
    assert machine.feed(md5_response(MD5.text, b"\1\1\1\1") + b"\0") == Accept(OK)


@pytest.mark.parametrize("secret", [PLAIN, MD5, None, Secret.parse("")])
@pytest.mark.parametrize("response", [md5_response(MD5.text, b"salt"), b"pencil", b"md5\xff"])
def test_md5_refuses_everything_else(secret: Secret | None, response: bytes) -> None:
    machine = login("md5", secret)
    machine.start()
    with pytest.raises(errors.AuthenticationFailed, match=FAILED):
        machine.feed(response + b"\0")


def test_md5_becomes_scram_where_a_scram_secret_is_stored() -> None:
    sent, accepted = run_scram(login("md5", SCRAM), "pencil")
    assert split(sent[0])[0][1] == AuthCode.SASL
    assert accepted.client_key is not None


# --- SCRAM ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [PLAIN, SCRAM])
@pytest.mark.parametrize("mechanism", [scram.SHA_256, scram.SHA_256_PLUS])
def test_scram_accepts_the_right_password(secret: Secret, mechanism: str) -> None:
    machine = bound_login(secret) if mechanism == scram.SHA_256_PLUS else login("scram-sha-256", secret)
    sent, accepted = run_scram(machine, "pencil", mechanism)
    codes = [code for payload in sent for _, code, _ in split(payload)]
    assert codes == [AuthCode.SASL, AuthCode.SASL_CONTINUE, AuthCode.SASL_FINAL, AuthCode.OK]
    stored = secret.scram
    salt, iterations = (stored.salt, stored.iterations) if stored else (SEED.salt("ann"), SEED.iterations)
    keys = scram.derive("pencil", salt, iterations)
    assert (accepted.client_key, accepted.server_key) == (keys.client_key, keys.server_key)


@pytest.mark.parametrize("kind", SecretKind)
@pytest.mark.parametrize("secret", [PLAIN, MD5, SCRAM, None, Secret.parse("")])
def test_scram_refuses_a_wrong_password(secret: Secret | None, kind: SecretKind) -> None:
    with pytest.raises(errors.AuthenticationFailed, match=FAILED):
        run_scram(login("scram-sha-256", secret, seed=LoginSeed(b"s" * 32, kind)), "pen")


def test_scram_cannot_check_an_md5_secret_and_does_not_say_so() -> None:
    with pytest.raises(errors.AuthenticationFailed, match=FAILED):
        run_scram(login("scram-sha-256", MD5), "pencil")


def test_plus_is_offered_only_inside_tls() -> None:
    offers = [
        split(machine.start().payload)[0][2]  # type: ignore[union-attr]
        for machine in (
            login("scram-sha-256"),
            login("scram-sha-256", certificate_hash=CERTIFICATE_HASH),
            bound_login(),
        )
    ]
    assert offers == [b"SCRAM-SHA-256\0\0", b"SCRAM-SHA-256\0\0", b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "", "scram-sha-256", "\u00e9"])
def test_a_mechanism_that_was_not_offered_is_refused(mechanism: str) -> None:
    machine = login("scram-sha-256")
    machine.start()
    with pytest.raises(errors.ProtocolViolation, match="client selected an invalid SASL authentication mechanism"):
        machine.feed(sasl_initial(mechanism, b"n,,n=,r=abc"))


def test_a_missing_initial_response_is_asked_for_with_an_empty_challenge() -> None:
    machine = login("scram-sha-256")
    machine.start()
    empty = machine.feed(b"SCRAM-SHA-256\0\xff\xff\xff\xff")
    assert empty == Send(messages.authentication(AuthCode.SASL_CONTINUE))
    reply = machine.feed(b"n,,n=,r=abc")
    assert isinstance(reply, Send)
    assert split(reply.payload)[0][2].startswith(b"r=abc")


# --- what may not be told apart ---------------------------------------------------------------------------------


def transcript(machine: ClientAuthentication) -> list[object]:
    """All that a client with the wrong password can see, and the work that is asked for on the way."""
    seen: list[object] = []
    reply = machine.start()
    client = answers("wrong")
    body = next(client)
    try:
        while True:
            seen.append(reply if isinstance(reply, Send) else (reply.iterations, len(reply.salt)))  # type: ignore[union-attr]
            if isinstance(reply, Derive):
                reply = machine.derived(scram.derive(reply.password, reply.salt, reply.iterations))
                continue
            if len(seen) > 1:
                body = client.send(split(reply.payload)[0][2])
            reply = machine.feed(body)
    except errors.AuthenticationFailed as failed:
        return [*seen, failed.sqlstate, failed.severity, failed.message, failed.detail, failed.hint]


def test_an_unknown_user_and_a_wrong_password_see_the_same_bytes() -> None:
    assert transcript(login("scram-sha-256", None)) == transcript(login("scram-sha-256", PLAIN))


def test_the_same_holds_where_scram_secrets_are_stored() -> None:
    seed = LoginSeed(SEED.seed, SecretKind.SCRAM)
    known = scram_secret("pencil", salt=seed.salt("ann"))
    assert transcript(login("scram-sha-256", None, seed=seed)) == transcript(login("scram-sha-256", known, seed=seed))


@pytest.mark.parametrize("auth_type", ["plain", "md5"])
@pytest.mark.parametrize("kind, known", [(SecretKind.PLAIN, PLAIN), (SecretKind.MD5, MD5)])
def test_the_same_holds_for_the_other_methods(auth_type: str, kind: SecretKind, known: Secret) -> None:
    seen = []
    for secret in (known, None):
        machine = login(auth_type, secret, seed=LoginSeed(SEED.seed, kind))
        start = machine.start()
        with pytest.raises(errors.AuthenticationFailed) as failed:
            machine.feed(b"wrong\0")
        seen.append((start, failed.value.sqlstate, failed.value.message, failed.value.detail, failed.value.hint))
    assert seen[0] == seen[1]


def test_an_unknown_users_challenge_is_the_same_each_time() -> None:
    assert transcript(login("scram-sha-256", None)) == transcript(login("scram-sha-256", None))


def test_a_mocks_keys_are_cached_apart() -> None:
    scopes = []
    for secret in (PLAIN, None):
        machine = login("scram-sha-256", secret)
        machine.start()
        client = answers("wrong")
        first = machine.feed(next(client))
        assert isinstance(first, Send)
        reply = machine.feed(client.send(split(first.payload)[0][2]))
        assert isinstance(reply, Derive)
        scopes.append(reply.scope)
    assert scopes == [CacheScope.KNOWN, CacheScope.UNKNOWN]


# --- order and size ---------------------------------------------------------------------------------------------


def test_a_message_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(errors.ProtocolViolation):
        login("plain").feed(b"pencil\0")
    accepted = login("any")
    accepted.start()
    with pytest.raises(errors.ProtocolViolation):
        accepted.feed(b"pencil\0")


def test_a_failed_login_stays_failed() -> None:
    machine = login("plain")
    machine.start()
    with pytest.raises(errors.AuthenticationFailed):
        machine.feed(b"pen\0")
    with pytest.raises(errors.ProtocolViolation):
        machine.feed(b"pencil\0")


def test_keys_that_were_not_asked_for_are_our_own_bug() -> None:
    machine = login("scram-sha-256")
    machine.start()
    with pytest.raises(errors.InternalError):
        machine.derived(scram.ScramKeys.of(b"", b""))


def test_a_message_during_a_derivation_is_refused() -> None:
    machine = login("plain", SCRAM)
    machine.start()
    assert isinstance(machine.feed(b"pencil\0"), Derive)
    with pytest.raises(errors.ProtocolViolation):
        machine.feed(b"pencil\0")


@pytest.mark.parametrize("auth_type, limit", [("plain", 65_535), ("md5", 65_535), ("scram-sha-256", 1024), ("any", 0)])
def test_a_message_above_its_limit_is_refused(auth_type: str, limit: int) -> None:
    machine = login(auth_type)
    machine.start()
    assert machine.max_message_bytes == limit
    with pytest.raises(errors.ProtocolViolation):
        machine.feed(b"x" * limit + b"\0")


def test_the_largest_password_is_only_wrong() -> None:
    machine = login("plain")
    machine.start()
    with pytest.raises(errors.AuthenticationFailed):
        machine.feed(b"x" * 65_534 + b"\0")


def test_a_huge_declared_length_is_only_a_violation() -> None:
    machine = login("scram-sha-256")
    machine.start()
    with pytest.raises(errors.ProtocolViolation):
        machine.feed(b"SCRAM-SHA-256\0" + struct.pack("!I", 0xFFFFFFFE) + b"n,,n=,r=abc")


def test_a_repr_shows_the_state_and_no_secret() -> None:
    machine = login("plain")
    machine.start()
    assert repr(machine) == "<ClientAuthentication plain 'ann' password>"


def test_a_peer_is_let_in_as_the_user_that_its_owner_may_be() -> None:
    seed = LoginSeed(b"s" * 32)
    assert isinstance(ClientAuthentication("peer", "alice", None, seed=seed, system_user="alice").start(), Accept)
    for owner in ("bob", "", None):
        with pytest.raises(errors.NotAuthorized, match='Peer authentication failed for user "alice"'):
            ClientAuthentication("peer", "alice", None, seed=seed, system_user=owner).start()
