"""What each kind of statement may leave in a session."""

from __future__ import annotations

import pytest

from trunkline.routing.session import session_effects
from trunkline.routing.session.session_effects import ANYTHING, NOTHING, PROBED, EffectsCache, State, effects_of


@pytest.mark.parametrize(
    ("sql", "leaves"),
    [
        ("SELECT 1", State(0)),
        ("SET a.b = 1", State.SETTINGS),
        ("SET LOCAL a = 1", State(0)),
        ("SET TRANSACTION READ ONLY", State(0)),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", State.SETTINGS),
        ("SET CONSTRAINTS ALL DEFERRED", State(0)),
        ("SET ROLE x", State.SETTINGS),
        ("SET SESSION AUTHORIZATION x", State.SETTINGS),
        ("RESET ALL", State.SETTINGS),
        ("SELECT set_config('a', 'b', false)", State.SETTINGS),
        ("SELECT set_config('a', 'b', true)", State(0)),
        ("SELECT pg_catalog.set_config('a', 'b', $1)", State.SETTINGS),
        ("SELECT pg_advisory_lock(1)", State.LOCKS),
        ("SELECT pg_advisory_xact_lock(1)", State(0)),
        ("CREATE TEMP TABLE t (n int)", State.TEMPORARY),
        ("CREATE TABLE pg_temp.t (n int)", State.TEMPORARY),
        ("CREATE TEMP VIEW v AS SELECT 1", State.TEMPORARY),
        ("CREATE TEMP SEQUENCE s", State.TEMPORARY),
        ("SELECT 1 INTO TEMP t", State.TEMPORARY),
        ("CREATE TABLE t AS EXECUTE p", State.TEMPORARY),
        ("CREATE TABLE t (n int)", State.TEMPORARY),  # if pg_temp comes first in the search_path
        ("CREATE INDEX ON t (n)", State(0)),
        ("CREATE TYPE pg_temp.x AS ENUM ('a')", State.TEMPORARY),
        ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", State.TEMPORARY),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT set_config($$a$$, $$b$$, false)'", State.TEMPORARY),
        ("SELECT temp FROM weather", State(0)),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", State.CURSORS),
        ("DECLARE c CURSOR FOR SELECT 1", State(0)),
        ("PREPARE p AS SELECT 1", State.PREPARED),
        ("EXECUTE p", State(0)),
        ("LISTEN x", State.LISTENING),
        ("LOAD 'x'", State.UNKNOWABLE),
        ("SELECT setseed(0.5)", State.UNKNOWABLE),
        ("SELECT lastval()", State.SEQUENCES),
        ("SELECT nextval('s')", State(0)),
        ("DO $$ BEGIN END $$", PROBED),
        ("CALL p()", PROBED),
        ("EXPLAIN ANALYZE SELECT pg_advisory_lock(1)", State.LOCKS),
        ("WITH x AS (SELECT pg_advisory_lock(1)) SELECT 1", State.LOCKS),
        ("BEGIN; LISTEN a; PREPARE p AS SELECT 1; COMMIT", State.LISTENING | State.PREPARED),
        ("not SQL at all", PROBED),
    ],
)
def test_what_may_be_left(sql: str, leaves: State) -> None:
    assert effects_of(sql.encode()).leaves == leaves


@pytest.mark.parametrize(
    ("sql", "ends"),
    [
        ("SELECT pg_advisory_unlock_all()", State.LOCKS),
        ("DROP TABLE t", State.TEMPORARY),
        ("DISCARD TEMP", State.TEMPORARY | State.SEQUENCES),
        ("DISCARD ALL", PROBED),
        ("CLOSE c", State.CURSORS),
        ("DEALLOCATE p", State.PREPARED),
        ("UNLISTEN *", State.LISTENING),
    ],
)
def test_what_may_be_ended(sql: str, ends: State) -> None:
    assert effects_of(sql.encode()).ends == ends


def test_names_of_settings_are_known_where_they_can_be() -> None:
    assert effects_of(b"SET App.Tenant = 1").settings == {b"app.tenant"}
    assert effects_of(b"SELECT set_config('A.b', $1, false)").settings == {b"a.b"}
    assert effects_of(b"SELECT set_config($1, $2, false)").binds_names
    assert effects_of(b"DO $$ BEGIN PERFORM set_config('x.y', '1', false); END $$").settings >= {b"x.y"}
    assert effects_of(b"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").other_settings


def test_resets_go_by_name() -> None:
    assert effects_of(b"RESET TimeZone").resets == {b"timezone"}
    assert effects_of(b"SET TIME ZONE DEFAULT").resets == {b"timezone"}
    assert effects_of(b"DISCARD ALL").resets == {b"*"}
    assert effects_of(b"RESET ALL").resets == {b"*"}


def test_sql_that_speaks_of_prepared_statements() -> None:
    assert effects_of(b"EXPLAIN EXECUTE p").uses_prepared
    assert effects_of(b"CREATE TABLE t AS EXECUTE p").uses_prepared
    assert effects_of(b"DEALLOCATE p").uses_prepared
    assert not effects_of(b"DEALLOCATE ALL").uses_prepared, "no name is needed to end them all"


def test_databases_that_must_be_left() -> None:
    assert effects_of(b"DROP DATABASE a").closes_database == {b"a"}
    assert effects_of(b"CREATE DATABASE a TEMPLATE b").closes_database >= {b"a", b"b"}
    assert effects_of(b"CREATE DATABASE a").closes_database >= {b"template1"}
    assert effects_of(b"ALTER DATABASE a RENAME TO b").closes_database == {b"a"}
    assert not effects_of(b"ALTER TABLE a RENAME TO b").closes_database


def test_code_may_have_been_changed() -> None:
    for sql in (b"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", b"CREATE VIEW v AS SELECT 1"):
        assert effects_of(sql).changes_code
    assert not effects_of(b"DROP TABLE t").changes_code
    assert not effects_of(b"CREATE TEMP TABLE t (n int)").changes_code, "whose it is, is pinned, and asked about it all"


def test_words_behind_which_there_is_unseen_code() -> None:
    assert effects_of(b"SELECT hidden(1)", frozenset((b"hidden",))) == ANYTHING
    assert effects_of(b"SELECT hidden(1)", frozenset((b"other",))) == NOTHING


def test_what_is_known_is_kept_by_template() -> None:
    cache = EffectsCache()
    assert cache.of(b"SET a.b = 1") is cache.of(b"SET  a.b = 2")
    assert cache.of(b"SET a.c = 1") is not cache.of(b"SET a.b = 1")
    assert cache.of(b"SELECT 1", ambiguous=True) == ANYTHING


@pytest.mark.parametrize(
    ("sql", "path", "stays_there"),
    [
        (b"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ("public",), False),
        (b"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ("pg_temp", "public"), True),
        (b"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", ("public",), True),
        (b"CREATE TYPE mood AS ENUM ('sad')", ("public",), False),
        (b"CREATE TEMP TABLE t (id int8)", ("public",), True),
        (b"CREATE TABLE t AS SELECT set_config('a.b', 'c', false)", ("public",), True),
        (b"SET work_mem = 1", ("public",), True),
    ],
)
def test_what_is_made_by_the_path_stays_where_that_is_temporary(
    sql: bytes, path: tuple[str, ...], stays_there: bool
) -> None:
    assert session_effects.stays(session_effects.effects_of(sql), sql, path) is stays_there
