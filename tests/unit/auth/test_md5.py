"""md5 authentication in the form that PostgreSQL stores and asks for."""

from __future__ import annotations

import hashlib

from trunkline.auth.md5 import md5_response, md5_secret, md5_verify

SECRET = md5_secret("foo", "secret")


def test_the_stored_form_is_the_digest_of_password_and_user() -> None:
    assert "md5" + hashlib.md5(b"secretfoo", usedforsecurity=False).hexdigest() == SECRET
    assert md5_secret("foo", b"secret") == md5_secret("foo", "secret")


def test_a_password_may_hold_bytes_that_are_no_utf8() -> None:
    assert md5_secret("foo", "p\udce9") == md5_secret("foo", b"p\xe9")


def test_a_response_matches_only_its_own_secret_and_salt() -> None:
    response = md5_response(SECRET, b"salt")
    assert len(response) == 35
    assert md5_verify(SECRET, b"salt", response)
    assert not md5_verify(SECRET, b"tlas", response)
    assert not md5_verify(md5_secret("foo", "other"), b"salt", response)
    assert not md5_verify(SECRET, b"salt", b"md5\xff")
