"""What an error takes back of prepared statements, and in whose words it is told."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.pool.undo import FAKE, FORWARD, NOBODYS, SWALLOW, UnnamedBefore, client_name, in_client_words, take_back
from trunkline.protocol.messages import parse_fields
from trunkline.protocol.server_session import REQUEST_NAMES
from trunkline.protocol.statement import Statement, intern

ONE, TWO = intern(b"select 1\0\0\0"), intern(b"select 2\0\0\0")
PARSE, UNNAMED, CLOSE = (REQUEST_NAMES.index(name) for name in ("parse", "parse_unnamed", "close"))


def play(names: dict[bytes, Statement], prepared: list[Statement], *undone: tuple[int, int, Any, bool]) -> Any:
    server: Any = SimpleNamespace(
        session=SimpleNamespace(undone=list(undone)), prepared=OrderedDict.fromkeys(prepared), unnamed=b"theirs"
    )
    lessee: Any = SimpleNamespace(names=names, unnamed=b"theirs")
    take_back(server, lessee)
    assert server.session.undone == []
    return server, lessee


def test_a_failed_parse_leaves_neither_the_name_nor_the_statement() -> None:
    server, lessee = play({b"a": ONE}, [ONE], (PARSE, FORWARD, (b"a", None, ONE, "new"), True))
    assert lessee.names == {}
    assert list(server.prepared) == []


def test_a_skipped_parse_of_what_the_server_knew_takes_back_only_the_name() -> None:
    server, lessee = play({b"a": ONE}, [ONE], (PARSE, FAKE, (b"a", None, ONE, "known"), False))
    assert lessee.names == {}
    assert list(server.prepared) == [ONE]


def test_a_refused_second_parse_leaves_the_first() -> None:
    server, lessee = play({b"a": ONE}, [ONE], (PARSE, FORWARD, (b"a", ONE, ONE, "taken"), True))
    assert lessee.names == {b"a": ONE}
    assert list(server.prepared) == [ONE]


def test_several_changes_are_taken_back_last_first() -> None:
    """Close a, Parse a anew, both skipped: the first statement is back."""
    server, lessee = play(
        {b"a": TWO}, [ONE, TWO], (CLOSE, FAKE, (b"a", ONE), False), (PARSE, FORWARD, (b"a", None, TWO, "new"), False)
    )
    assert lessee.names == {b"a": ONE}
    assert list(server.prepared) == [ONE]


@pytest.mark.parametrize(
    ("action", "note", "failed", "left", "at_server"),
    [
        # PostgreSQL drops the old unnamed statement before it parses the new one
        (FORWARD, UnnamedBefore(b"before", b"there"), True, None, NOBODYS),
        (FORWARD, NOBODYS, True, None, NOBODYS),
        (FORWARD, UnnamedBefore(b"before", b"there"), False, b"before", b"there"),
        (FORWARD, UnnamedBefore(None, None), False, None, None),
        (SWALLOW, b"there", True, b"theirs", NOBODYS),
        (SWALLOW, b"there", False, b"theirs", b"there"),
    ],
)
def test_an_unnamed_parse_that_did_not_happen(
    action: int, note: object, failed: bool, left: bytes | None, at_server: bytes | None
) -> None:
    server, lessee = play({}, [], (UNNAMED, action, note, failed))
    assert lessee.unnamed == left
    assert server.unnamed == at_server


def test_a_close_of_ours_that_did_not_happen_leaves_an_unnamed_statement_that_is_nobodys() -> None:
    server, lessee = play({}, [], (CLOSE, SWALLOW, NOBODYS, False))
    assert server.unnamed == NOBODYS
    assert lessee.unnamed == b"theirs"


def test_our_own_requests_are_taken_back_on_the_server_only() -> None:
    server, lessee = play({b"a": ONE}, [ONE], (PARSE, SWALLOW, ONE, False), (CLOSE, SWALLOW, TWO, False))
    assert lessee.names == {b"a": ONE}
    assert list(server.prepared) == [TWO]


def test_an_error_is_told_under_the_clients_name() -> None:
    names = client_name(ONE, {b"b": TWO, b"a": ONE})
    assert names == (ONE.server_name, b"a")
    said = in_client_words(b'SERROR\0C08P01\0Mstatement "%b" requires 1\0\0' % ONE.server_name, *names)
    assert parse_fields(said[5:])["M"] == 'statement "a" requires 1'
    assert int.from_bytes(said[1:5], "big") == len(said) - 1


def test_a_request_without_a_statement_of_ours_is_told_as_it_is() -> None:
    assert client_name(None, {b"a": ONE}) is None
    assert client_name(TWO, {b"a": ONE}) is None
    assert client_name(TWO, None) is None
    assert client_name((b"x", None, ONE, "new"), None) == (ONE.server_name, b"x")
