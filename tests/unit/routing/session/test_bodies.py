"""The body of a function is doubtful if running it may change the session."""

from __future__ import annotations

import pytest

from trunkline.routing.session.bodies import code_is_doubtful
from trunkline.routing.text.lexer import Vocabulary

PLAIN = Vocabulary()


@pytest.mark.parametrize(
    "body",
    [
        b"BEGIN SET work_mem = '1MB'; END",
        b"BEGIN IF x THEN RESET ALL; END IF; END",
        b"BEGIN FOR i IN 1..2 LOOP SET a = 1; END LOOP; END",
        b"SELECT set_config('a.b', 'c', false)",
        b"BEGIN PERFORM pg_advisory_lock(1); END",
        b"BEGIN CREATE TEMPORARY TABLE t (n int); END",
        b"BEGIN EXECUTE 'SET work_mem = ' || x; END",
        b"BEGIN EXECUTE format('SELECT set_config(%L, %L, false)', a, b); END",
        b"BEGIN EXECUTE $q$SET a = 1$q$; END",
        b"BEGIN LISTEN x; END",
        b"BEGIN x := 'a\\'; SET b = '1'; END",
    ],
)
def test_what_may_change_the_session(body: bytes) -> None:
    assert code_is_doubtful(PLAIN, body)


@pytest.mark.parametrize(
    "body",
    [
        b"SELECT 1",
        b"BEGIN UPDATE t SET x = 1 WHERE y = 2; RETURN NEW; END",
        b"BEGIN EXECUTE format('UPDATE %I SET x = 1', t); END",
        b"BEGIN OPEN c; CLOSE c; END",
        b"BEGIN RAISE NOTICE 'created'; INSERT INTO t VALUES ('x') ON CONFLICT DO UPDATE SET a = 1; END",
    ],
)
def test_what_may_not(body: bytes) -> None:
    assert not code_is_doubtful(PLAIN, body)
