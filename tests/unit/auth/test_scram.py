"""SCRAM's values and syntax: the vectors of RFC 7677, PostgreSQL's stored form, bad input."""

from __future__ import annotations

import base64

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from trunkline.auth import scram
from trunkline.auth.scram import Malformed, ScramKeys, ScramSecret

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
AUTH_MESSAGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
KEY = b"k" * 32
STORED = base64.b64encode(KEY).decode()


def test_rfc_7677_proof_and_signature() -> None:
    keys = scram.derive("pencil", SALT, 4096)
    assert scram.client_proof(keys, AUTH_MESSAGE) == PROOF
    assert scram.server_signature(keys.server_key, AUTH_MESSAGE) == SIGNATURE
    assert scram.recover_client_key(keys.stored_key, PROOF, AUTH_MESSAGE) == keys.client_key


def test_a_changed_proof_recovers_no_key() -> None:
    keys = scram.derive("pencil", SALT, 4096)
    assert scram.recover_client_key(keys.stored_key, PROOF[:-1] + b"x", AUTH_MESSAGE) is None


@pytest.mark.parametrize("password", ["pencil", "pâss", "\u2168"])
def test_derivation_agrees_with_scramp(password: str) -> None:
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    _, stored_key, server_key, _ = mechanism.make_auth_info(password, 4096, SALT)
    keys = scram.derive(password, SALT, 4096)
    assert (keys.stored_key, keys.server_key) == (stored_key, server_key)


def test_a_stored_secret_is_read_and_written_as_postgresql_does() -> None:
    text = f"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${STORED}:{STORED}"
    secret = ScramSecret.parse(text)
    assert secret == ScramSecret(4096, SALT, KEY, KEY)
    assert secret is not None
    assert secret.format() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SCRAM-SHA-256$",
        f"SCRAM-SHA-1$4096:c2FsdA==${STORED}:{STORED}",
        f"SCRAM-SHA-256$0:c2FsdA==${STORED}:{STORED}",
        f"SCRAM-SHA-256$-1:c2FsdA==${STORED}:{STORED}",
        f"SCRAM-SHA-256$2147483648:c2FsdA==${STORED}:{STORED}",
        f"SCRAM-SHA-256$٤:c2FsdA==${STORED}:{STORED}",
        f"SCRAM-SHA-256$4096:c2Fs$dA==${STORED}:{STORED}",
        f"SCRAM-SHA-256$4096:c2FsdA${STORED}:{STORED}",
        f"SCRAM-SHA-256$4096:c2FsdA==${STORED}",
        f"SCRAM-SHA-256$4096:c2FsdA==${STORED}:c2FsdA==",
        f"SCRAM-SHA-256$4096:c2FsdA==${STORED}:{STORED}:",
        f"SCRAM-SHA-256$4096:é${STORED}:{STORED}",
    ],
)
def test_what_is_no_stored_secret_is_not_taken_for_one(text: str) -> None:
    assert ScramSecret.parse(text) is None


def test_keys_do_not_show_in_a_repr() -> None:
    secret = ScramSecret(4096, SALT, KEY, KEY)
    assert "kkk" not in repr(secret) + repr(ScramKeys.of(KEY, KEY))


@pytest.mark.parametrize("text", [b"=", b"abc", b"ab c", b"YQ==YQ==", b"\xff", b"YQ==\n"])
def test_bad_base64_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        scram.decode_base64(text)


@given(st.binary())
def test_base64_goes_there_and_back(data: bytes) -> None:
    assert scram.decode_base64(scram.encode_base64(data)) == data


@pytest.mark.parametrize(
    "nonce, printable", [(b"a!~+-", True), (b"", False), (b"a,b", False), (b"a b", False), (b"\xe9", False)]
)
def test_a_nonce_is_visible_ascii_without_commas(nonce: bytes, printable: bool) -> None:
    assert scram.is_printable(nonce) is printable


@pytest.mark.parametrize("message", [b"", b"x" * 1025, b"r=a\0"])
def test_a_message_has_1_to_1024_bytes_and_no_zero(message: bytes) -> None:
    with pytest.raises(Malformed):
        scram.check_size(message)


def test_an_attribute_is_taken_up_to_its_comma() -> None:
    assert scram.take_attribute(b"r=a=b,s=c", "r") == (b"a=b", b"s=c")
    assert scram.take_attribute(b"r=", "r") == (b"", b"")


@pytest.mark.parametrize(
    "message, words",
    [
        (b"", 'found "0x00"'),
        (b"s=a", 'found "s"'),
        (b"\xffr=", 'found "0xff"'),
        (b"r", 'character "="'),
        (b"ra", 'character "="'),
    ],
)
def test_another_attribute_than_the_expected_is_malformed(message: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        scram.take_attribute(message, "r")


def test_an_extension_is_skipped() -> None:
    assert scram.skip_extension(b"x=1,y=2") == b"y=2"


@pytest.mark.parametrize("message", [b"", b"1=a", b"r=again", b"m=must", b"x", b",x=1"])
def test_what_is_no_extension_is_malformed(message: bytes) -> None:
    with pytest.raises(Malformed):
        scram.skip_extension(message)
