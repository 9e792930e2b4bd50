"""A file of SQL is parted where PostgreSQL's own clients part it."""

from __future__ import annotations

import pytest

from trunkline.routing.text.scripts import split


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ;; -- nothing\n;", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', \";\", $$;$$, $a$;$$;$a$, /* ; /* ; */ ; */ E'\\';'; SELECT 2;", None),
        ("-- a word; before\nSELECT 1 -- and ; behind\n;", ["SELECT 1"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", None),
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;"
            " SELECT 3",
            None,
        ),
        ("BEGIN; SELECT 1; END;", ["BEGIN", "SELECT 1", "END"]),
        ("/* trunkline: shard=s1 */ SELECT 1; SELECT 2", ["/* trunkline: shard=s1 */ SELECT 1", "SELECT 2"]),
        ("SELECT 1 /* trunkline: shard=s1 */\n", ["SELECT 1 /* trunkline: shard=s1 */"]),
        ("SELECT 'no end; ", ["SELECT 'no end; "]),
        ("\\set it's one\nSELECT 1;\n\\echo ';\n", ["SELECT 1"]),
        ("COPY t (a) FROM stdin;\n1;'\n\\.\nSELECT 2;", ["COPY t (a) FROM stdin", "SELECT 2"]),
    ],
)
def test_statements_end_where_psql_ends_them(text: str, statements: list[str] | None) -> None:
    found = [sql.decode() for _, sql in split(text.encode())]
    if statements is None:  # the last statement is the only other one
        assert len(found) == 2 and "; ".join(found) == text.rstrip(";")
    else:
        assert found == statements


def test_lines_are_counted_over_what_is_no_sql() -> None:
    text = b"SELECT 1;\n\\c other\n\n-- words\nSELECT\n2;\nCOPY t FROM stdin;\na\n\\.\nSELECT 3; SELECT 4"
    assert [line for line, _ in split(text)] == [1, 5, 7, 10, 10]
