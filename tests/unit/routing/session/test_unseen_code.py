"""Names are doubtful if code is, and if they reach code that is."""

from __future__ import annotations

from trunkline.routing.session.unseen_code import UnseenCode, unseen_code

Row = tuple[bytes | None, ...]


def function(oid: int, name: str, source: str, language: str = "plpgsql") -> Row:
    return b"function", b"%d" % oid, name.encode(), language.encode(), source.encode()


def relation(oid: int, name: str) -> Row:
    return b"relation", b"%d" % oid, name.encode(), b"", b""


def reaches(one: int, other: int) -> Row:
    return b"reaches", b"%d" % one, b"%d" % other, b"", b""


SETS = function(1, "Sets", "BEGIN SET app.x = '1'; END")


def test_nothing_is_doubtful_where_nothing_is() -> None:
    rows = [function(1, "f", "SELECT 1", "sql"), relation(2, "t"), reaches(2, 1)]
    assert unseen_code(rows) == UnseenCode()


def test_callers_are_doubtful_too() -> None:
    rows = [SETS, function(2, "calls", "SELECT sets()", "sql"), function(3, "calls_calls", "SELECT calls()", "sql")]
    found = unseen_code([*rows, function(4, "other", "SELECT 1", "sql")])
    assert found.words == {b"sets", b"calls", b"calls_calls"}
    assert found.settings >= {b"app.x"}


def test_relations_are_doubtful_whose_triggers_and_views_are() -> None:
    rows = [SETS, relation(2, "t"), relation(3, "v"), relation(4, "w"), relation(5, "x")]
    found = unseen_code([*rows, reaches(2, 1), reaches(3, 2), reaches(4, 3)])
    assert found.words == {b"sets", b"t", b"v", b"w"}


def test_functions_that_use_a_doubtful_relation_are() -> None:
    rows = [SETS, relation(2, "t"), reaches(2, 1), function(3, "writes", "INSERT INTO t VALUES (1)", "sql")]
    assert b"writes" in unseen_code(rows).words


def test_an_event_trigger_makes_all_ddl_doubtful() -> None:
    assert unseen_code([SETS, (b"event", b"", b"1", b"", b"")]).words == {b"sets", b"create", b"alter", b"drop"}


def test_other_languages_are_judged_by_their_words() -> None:
    rows = [function(1, "p", "plpy.execute('SET a.b = 1')", "plpython3u"), function(2, "q", "return 1", "plpython3u")]
    assert unseen_code(rows).words == {b"p"}
    assert unseen_code([function(1, "huge", "", "large")]).words == {b"huge"}
