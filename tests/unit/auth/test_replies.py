"""Replies travel through queues and logs: what is secret in them must not show."""

from __future__ import annotations

import pytest

from trunkline.auth.replies import Accept, CacheScope, Derive, Reply, Send


@pytest.mark.parametrize(
    "reply",
    [
        Send(b"sesame"),
        Derive("ann", "sesame", b"salt", 4096, CacheScope.KNOWN),
        Derive("ann", b"sesame", b"salt", 4096, CacheScope.NEVER),
        Accept(b"sesame", b"sesame", b"sesame", b"sesame"),
    ],
)
def test_a_reply_never_shows_what_is_secret(reply: Reply) -> None:
    assert "sesame" not in repr(reply)
