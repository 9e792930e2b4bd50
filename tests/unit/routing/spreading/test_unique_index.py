"""The statements that keep a global unique index are SQL, and name what they are about."""

from __future__ import annotations

from trunkline.routing.session.unseen_code import unseen_code
from trunkline.routing.spreading import unique_index
from trunkline.routing.spreading.unique_index import Column, UniqueIndex, name_for
from trunkline.routing.sql import parse_any

INDEX = UniqueIndex("users_Email_key", "my schema", "users", ("Email", "nick"), ("id",))
COLUMNS = [Column("Email", "text", "OPERATOR(pg_catalog.=)"), Column("nick", "public.citext", "OPERATOR(public.=)")]


def test_names_leave_room_for_what_is_made_of_them() -> None:
    assert name_for("users", ("email",), ()) == "users_email_key"
    assert name_for("users", ("email",), ("users_email_key", "users_email_key1")) == "users_email_key2"
    long = name_for("tä" * 40, ("email",), ())
    assert long.endswith("_key")
    assert len(long.encode()) <= 54


def test_all_of_it_parses() -> None:
    texts = [
        unique_index.SETUP, unique_index.TAKE, unique_index.IS_READY, unique_index.rows_there(INDEX),
        unique_index.columns_query(INDEX), unique_index.applied("a'b", ["x"]), unique_index.applied("a", None),
        unique_index.applying(INDEX, [*COLUMNS, Column("id", "bigint")]), *unique_index.on_shard(INDEX),
        unique_index.answering(INDEX, [*COLUMNS, Column("id", "bigint")]),
        *unique_index.table_of_values(INDEX), *unique_index.dropped("a"),
    ]  # fmt: skip
    for text in texts:
        assert parse_any(text.encode()), text


def test_values_are_found_by_the_operator_of_their_type() -> None:
    text = unique_index.applying(INDEX, [*COLUMNS, Column("id", "bigint")])
    assert 'kept."nick" OPERATOR(public.=) net.c2::public.citext' in text
    text = unique_index.answering(INDEX, [*COLUMNS, Column("id", "bigint")])
    assert 'kept."nick" OPERATOR(public.=) ($1->>1)::public.citext' in text


def test_what_notes_values_changes_no_session() -> None:
    """Else each statement that names the table would have its server asked what has become of its session."""
    body = unique_index.on_shard(INDEX)[0].split(" AS ", 1)[1].strip("E'").replace("''", "'")
    rows = [(b"function", b"1", b"unique_users", b"plpgsql", body.encode()), (b"relation", b"2", b"users", b"", b"")]
    found = unseen_code([*rows, (b"reaches", b"2", b"1", b"", b"")])
    assert found.words == frozenset()
