"""Stored secrets, their mocks, and that neither shows itself."""

from __future__ import annotations

import pytest

from tests.unit.auth.exchange import SEED, scram_secret
from trunkline.auth.md5 import md5_secret
from trunkline.auth.secret import LoginSeed, Secret, SecretKind

MD5 = md5_secret("ann", "pencil")


@pytest.mark.parametrize(
    "text, kind",
    [
        ("pencil", SecretKind.PLAIN),
        ("", SecretKind.PLAIN),
        (MD5, SecretKind.MD5),
        (MD5.upper().replace("MD5", "md5"), SecretKind.MD5),
        (MD5[:-1], SecretKind.PLAIN),
        (MD5 + "0", SecretKind.PLAIN),
        ("md5" + "x" * 32, SecretKind.PLAIN),
        (scram_secret("pencil").text, SecretKind.SCRAM),
        ("SCRAM-SHA-256$4096:broken", SecretKind.PLAIN),
    ],
)
def test_the_kind_is_told_by_the_form(text: str, kind: SecretKind) -> None:
    secret = Secret.parse(text)
    assert secret.kind is kind
    assert (secret.scram is not None) is (kind is SecretKind.SCRAM)
    assert not secret.doomed


def test_a_plain_and_an_md5_secret_have_the_same_md5_form() -> None:
    assert Secret.parse("pencil").md5_text("ann") == Secret.parse(MD5).md5_text("ann") == MD5


def test_a_password_that_is_no_utf8_keeps_its_bytes() -> None:
    assert Secret.parse("p\udce9").raw == b"p\xe9"


@pytest.mark.parametrize("kind", SecretKind)
def test_a_mock_is_of_its_kind_doomed_and_the_same_each_time(kind: SecretKind) -> None:
    seed = LoginSeed(b"s" * 32, kind)
    mock = seed.mock("ann")
    assert mock.doomed
    assert Secret.parse(mock.text).kind is mock.kind is kind
    assert mock == seed.mock("ann") != seed.mock("bob")
    assert mock != LoginSeed(b"t" * 32, kind).mock("ann")


def test_a_salt_is_stable_for_a_user_and_looks_like_postgresqls() -> None:
    assert SEED.salt("ann") == SEED.salt("ann") != SEED.salt("bob")
    assert len(SEED.salt("ann")) == 16
    mock = SEED.mock("ann", SecretKind.SCRAM).scram
    assert mock is not None
    assert (mock.salt, mock.iterations) == (SEED.salt("ann"), 4096)


@pytest.mark.parametrize("text", ["pencil", MD5, scram_secret("pencil").text])
def test_a_secret_never_shows_itself(text: str) -> None:
    secret = Secret.parse(text)
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert text not in shown
        assert text[-20:] not in shown


def test_a_seed_never_shows_itself() -> None:
    assert "seed" not in repr(LoginSeed(b"seedseed")).replace("LoginSeed", "")
