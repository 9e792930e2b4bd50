"""Preparing passwords: RFC 4013's examples, and PostgreSQL's two liberties."""

from __future__ import annotations

import pytest

from trunkline.auth.saslprep import saslprep


@pytest.mark.parametrize(
    "password, prepared",
    [
        ("I\u00adX", b"IX"),  # soft hyphen mapped to nothing
        ("user", b"user"),
        ("USER", b"USER"),
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        ("a\u00a0b", b"a b"),  # another space becomes the plain one
        ("pâss", "pâss".encode()),
        ("pa\u0302ss", "pâss".encode()),  # composed, so that both ways to type it agree
        ("\u0627\u0628", "\u0627\u0628".encode()),  # right to left throughout
    ],
)
def test_what_can_be_prepared_is(password: str, prepared: bytes) -> None:
    assert saslprep(password) == prepared
    assert saslprep(password.encode()) == prepared


@pytest.mark.parametrize(
    "password",
    [
        "\x07",  # ASCII is taken as it is
        "\u0627\u0031",  # right to left that does not end so
        "\u0627a\u0627",  # both directions
        "é\u0007",  # a control character
        "é\ue000",  # private use
        "é\u0221",  # unassigned in Unicode 3.2
        "\u00ad",  # nothing left
        "",
    ],
)
def test_what_cannot_be_prepared_is_used_as_it_came(password: str) -> None:
    assert saslprep(password) == password.encode()


def test_bytes_that_are_no_utf8_are_used_as_they_came() -> None:
    assert saslprep(b"p\xe9ss") == b"p\xe9ss"
    assert saslprep("p\udce9ss") == b"p\xe9ss"
