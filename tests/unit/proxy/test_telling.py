"""How errors are told to clients that outlive them."""

from __future__ import annotations

from trunkline.errors import ServerLost
from trunkline.execution.spread.participant import as_error
from trunkline.protocol.messages import parse_fields
from trunkline.proxy.telling import told


def test_a_servers_error_is_told_in_its_own_words() -> None:
    body = b"SERROR\0VERROR\0C23505\0Mtwice\0tcustomers\0\0"
    assert told(as_error(body))[5:] == body


def test_what_a_client_outlives_is_no_fatal_error() -> None:
    assert parse_fields(told(ServerLost("gone"))[5:])["S"] == "ERROR"
