"""SELECT over SHOW: what PostgreSQL would answer on such a table, or a refusal that says what is not understood."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin import commands
from trunkline.admin.catalog import shown_relations
from trunkline.admin.columns import Columns
from trunkline.admin.commands import COMMANDS, Request, run, show
from trunkline.admin.result import ConsoleError, Row, rows_as_messages
from trunkline.admin.select import read_select
from trunkline.protocol.messages import BOOL, INT4, INT8, NUMERIC, TEXT, TIMESTAMPTZ
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Instance

COLUMNS: Columns = (("database", TEXT), ("user", TEXT), ("waiting", INT4), ("total", NUMERIC), ("host", TEXT))
ROWS: list[Row] = [
    ("app", "ann", 3, 10, None),
    ("app", "bob", 0, 20, "h1"),
    ("shop", "ann", 7, 30, "h2"),
    ("Shop2", "eve", 0, 0, None),
]


@pytest.fixture(autouse=True)
def things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMANDS", COMMANDS)
    monkeypatch.delitem(COMMANDS, ("SHOW", "THINGS"), raising=False)

    @show("THINGS", COLUMNS)
    def show_things(instance: Instance) -> Iterator[Row]:
        yield from ROWS

    monkeypatch.setitem(COMMANDS, ("SHOW", "THINGS"), COMMANDS.pop(("SHOW", "THINGS")))


async def ask(instance: Instance, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    command, _ = read_select(sql)
    identity = Identity(instance.clients, Peer(None, None))
    identity.user = "ops"
    answer = await run(command, (), Request(instance, identity, parameters=parameters))
    return [tuple(row) for row in answer.rows]


WHERE = [
    ("waiting > 0", "app/ann shop/ann"),
    ("waiting >= 3 AND waiting < 7", "app/ann"),
    ("NOT (waiting = 0)", "app/ann shop/ann"),
    ("database = 'app' OR user = 'eve'", "app/ann app/bob Shop2/eve"),
    ("\"user\" <> 'ann'", "app/bob Shop2/eve"),
    ("database LIKE 's%'", "shop/ann"),
    ("database ILIKE 's%'", "shop/ann Shop2/eve"),
    ("database NOT ILIKE 's%'", "app/ann app/bob"),
    ("waiting IN (3, 7)", "app/ann shop/ann"),
    ("waiting NOT IN (3, 7)", "app/bob Shop2/eve"),
    ("host IN ('h1', NULL)", "app/bob"),
    ("host NOT IN ('h1', NULL)", ""),
    ("host IS NULL", "app/ann Shop2/eve"),
    ("host IS NOT NULL", "app/bob shop/ann"),
    ("host = NULL", ""),
    ("host = 'h1' OR waiting = 3", "app/ann app/bob"),
    ("NOT (host = 'h1')", "shop/ann"),
    ("waiting BETWEEN 1 AND 5", "app/ann"),
    ("waiting NOT BETWEEN 1 AND 5", "app/bob shop/ann Shop2/eve"),
    ("total > waiting", "app/ann app/bob shop/ann"),
    ("total > 15.5", "app/bob shop/ann"),
    ("waiting > '2'", "app/ann shop/ann"),
    ("waiting * 2 + 1 = 7", "app/ann"),
    ("total / 4 = 5", "app/bob"),
    ("waiting::text = '7'", "shop/ann"),
    ("length(database) > 3", "shop/ann Shop2/eve"),
    ("upper(database) = 'SHOP'", "shop/ann"),
    ("coalesce(host, 'none') = 'none'", "app/ann Shop2/eve"),
    ("true", "app/ann app/bob shop/ann Shop2/eve"),
    ("false", ""),
]


@pytest.mark.parametrize(("where", "wanted"), WHERE)
async def test_where_chooses_rows(instance: Instance, where: str, wanted: str) -> None:
    rows = await ask(instance, f'SELECT database, "user" FROM things WHERE {where}')
    assert " ".join(f"{database}/{user}" for database, user in rows) == wanted


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ("waiting DESC, database", [7, 3, 0, 0]),
        ("2", [0, 0, 3, 7]),
        ("w", [0, 0, 3, 7]),
        ("total DESC", [7, 0, 3, 0]),
        ("host", [0, 7, 3, 0]),
        ("host DESC", [3, 0, 7, 0]),
        ("host NULLS FIRST, waiting", [0, 3, 0, 7]),
        ("host DESC NULLS LAST", [7, 0, 3, 0]),
        ("-waiting + total", None),
    ],
)
async def test_order_is_postgresqls(instance: Instance, order: str, wanted: list[int] | None) -> None:
    sql = f"SELECT database, waiting AS w FROM things ORDER BY {order}"
    if wanted is None:
        with pytest.raises(ConsoleError, match="does not understand"):
            await ask(instance, sql)
        return
    assert [row[1] for row in await ask(instance, sql)] == wanted


async def test_limit_and_offset(instance: Instance) -> None:
    assert await ask(instance, "SELECT waiting FROM things LIMIT 2 OFFSET 1") == [(0,), (7,)]
    assert await ask(instance, "SELECT waiting FROM things OFFSET 9") == []
    assert await ask(instance, "SELECT waiting FROM things LIMIT 0") == []
    assert len(await ask(instance, "SELECT waiting FROM things LIMIT ALL")) == 4
    assert len(await ask(instance, "SELECT waiting FROM things LIMIT 9223372036854775807 OFFSET 1")) == 3


async def test_rows_can_be_counted_and_grouped(instance: Instance) -> None:
    assert await ask(instance, "SELECT count(*), count(host), sum(waiting), avg(total) FROM things") == [
        (4, 2, 10, Decimal(15))
    ]
    grouped = "SELECT database, sum(waiting) AS n, max(total) FROM things GROUP BY database"
    assert await ask(instance, f"{grouped} HAVING count(*) > 0 ORDER BY n DESC") == [
        ("shop", 7, 30),
        ("app", 3, 20),
        ("Shop2", 0, 0),
    ]
    assert await ask(instance, "SELECT count(*), min(host), sum(waiting) FROM things WHERE false") == [(0, None, None)]
    assert await ask(instance, "SELECT database, count(*) FROM things WHERE false GROUP BY 1") == []


async def test_every_column_keeps_its_type_and_name(instance: Instance) -> None:
    for relation in shown_relations():
        command, _ = read_select(f"SELECT * FROM {relation.words[1].lower()}")
        assert command.columns == relation.columns


async def test_what_is_computed_has_a_type_and_a_name() -> None:
    targets = "waiting + 1, count(*), sum(waiting) s, avg(waiting), now(), waiting > 1 AS b, 'x', total::int"
    command, _ = read_select(f"SELECT {targets} FROM things GROUP BY waiting, total")
    assert command.columns == (
        ("?column?", INT8), ("count", INT8), ("s", INT8), ("avg", NUMERIC), ("now", TIMESTAMPTZ), ("b", BOOL),
        ("?column?", TEXT), ("total", INT4),
    )  # fmt: skip


async def test_parameters_take_the_type_of_what_they_are_compared_with(instance: Instance) -> None:
    sql = "SELECT database FROM things t WHERE t.waiting > $1 AND database <> $2 LIMIT $3"
    assert read_select(sql)[1] == (INT4, TEXT, INT8)
    assert read_select("SELECT 1 FROM things WHERE waiting = $1", (20,))[1] == (INT8,)
    assert await ask(instance, sql, 0, "app", 1) == [("shop",)]
    assert await ask(instance, sql, None, "app", 1) == []


async def test_nothing_has_to_be_read(instance: Instance) -> None:
    ((one, now, user, schema),) = await ask(instance, "SELECT 1, current_timestamp, session_user, current_schema()")
    assert (one, user, schema) == (1, "ops", "public") and isinstance(now, datetime)


@pytest.mark.parametrize(
    ("sql", "sqlstate", "words"),
    [
        ("SELECT * FROM nowhere", "42P01", 'relation "nowhere" does not exist'),
        ("SELECT * FROM pg_catalog.pg_cast", "42P01", 'relation "pg_catalog.pg_cast" does not exist'),
        ("SELECT * FROM help", "42P01", 'relation "help" does not exist'),
        ("SELECT nothing FROM things", "42703", 'column "nothing" does not exist'),
        ("SELECT x.database FROM things", "42703", "column x.database does not exist"),
        ("SELECT * FROM things WHERE waiting = 'x'", "22P02", 'invalid input syntax for type integer: "x"'),
        ("SELECT * FROM things WHERE waiting = database", "42883", "operator does not exist: integer = text"),
        ("SELECT * FROM things WHERE waiting", "42804", "argument must be type boolean, not type integer"),
        ("SELECT * FROM things WHERE count(*) > 1", "42803", "aggregate functions are not allowed in WHERE"),
        ("SELECT sum(database) FROM things", "42883", "function sum(text) does not exist"),
        ("SELECT database, count(*) FROM things", "42803", None),
        ("SELECT sum(count(*)) FROM things", "42803", "aggregate function calls cannot be nested"),
        ("SELECT 1 / 0", "22012", "division by zero"),
        ("SELECT 9223372036854775807 + 1", "22003", "bigint out of range"),
        ("SELECT pg_read_file('/etc/passwd')", "42883", None),
        ("SELECT * FROM things LIMIT -1", "2201W", "LIMIT must not be negative"),
        ("SELECT * FROM things OFFSET -1", "2201X", "OFFSET must not be negative"),
        ("SELECT * FROM things ORDER BY 9", "42P10", "ORDER BY position 9 is not in select list"),
        ("SELECT * FROM", "42601", "syntax error at end of input"),
        ("SELECT * FROM things, things", "42712", 'table name "things" specified more than once'),
        ("SELECT * FROM things NATURAL JOIN things t", "0A000", None),
        ("SELECT * FROM things FULL JOIN things t ON true", "0A000", None),
        ("SELECT (SELECT 1, 2)", "42601", "subquery must return only one column"),
        ("SELECT 1 UNION SELECT 2", "0A000", None),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "0A000", "the console does not understand WITH"),
        ("SELECT DISTINCT ON (database) * FROM things", "0A000", "the console does not understand DISTINCT ON"),
        ("SELECT database FROM things FOR UPDATE", "0A000", "the console does not understand LOCKING"),
        ("SELECT count(DISTINCT database) FROM things", "0A000", None),
        ("SELECT sum(waiting) OVER () FROM things", "0A000", None),
        ("SELECT database @@ 'x' FROM things", "0A000", "the console does not understand the operator @@"),
        ("SELECT 1::money", "0A000", "the console does not understand the type money"),
        ("SELECT " + "(" * 50 + "1" + ")+1" * 50, "54001", None),
        ("SELECT '" + "x" * 20000 + "'", "54000", None),
        ("SELECT x.* FROM things", "42P01", "missing FROM-clause entry"),
        ("SELECT * FROM things AS t (a, b, c, d, e, f)", "42P10", None),
        ("SELECT waiting::text[] FROM things", "0A000", "the console does not understand the type text"),
        ("SELECT 'abc'::varchar(2)", "0A000", "the console does not understand the type varchar"),
        ("SELECT evil.now()", "42883", "function evil.now does not exist"),
        ("SELECT database LIKE 'a' ESCAPE 'b' FROM things", "42883", None),
        ("SELECT (database).x FROM things", "0A000", None),
        ("SELECT $1000", "42P02", "there is no parameter $1000"),
        ("SELECT database FROM things, things t", "42702", 'column reference "database" is ambiguous'),
        ("SELECT (SELECT database FROM things)", "21000", None),
        ("SELECT * FROM things WHERE row_number() OVER () = 1", "42803", None),
        ("SELECT database FROM things WHERE database ~ '('", "2201B", None),
        ("SELECT database FROM things WHERE 'x' = ANY ('{')", "22P02", None),
        ("SELECT * FROM generate_series(1, 1000000)", "54000", None),
        ("SELECT 'nowhere'::regclass", "42P01", 'relation "nowhere" does not exist'),
        ("SELECT CASE WHEN true THEN 1 ELSE now() END", "42804", None),
        ("SELECT *", "42601", "SELECT * with no tables specified is not valid"),
    ],
)  # fmt: skip
async def test_what_is_wrong_or_not_understood_is_said(
    instance: Instance, sql: str, sqlstate: str, words: str | None
) -> None:
    with pytest.raises(ConsoleError) as refusal:
        await ask(instance, sql)
    assert refusal.value.sqlstate == sqlstate, refusal.value
    assert words is None or refusal.value.message == words


_WORDS = """
    SELECT FROM WHERE AND OR NOT ( ) , * = <> < > <= >= + - / . :: IN LIKE ILIKE BETWEEN IS NULL GROUP BY HAVING ORDER
    DESC LIMIT OFFSET things database user waiting total host count sum avg min max lower now coalesce 1 0 2.5 'x' '7'
    JOIN LEFT ON USING things u EXISTS SELECT ( ) unnest(ARRAY[1,2]) '{1}' ANY ~ regclass nullif string_agg
    row_number() OVER
    $1 $2 text int numeric true CASE WHEN THEN END ARRAY [ ] ROW DISTINCT ALL EXISTS ~ || AS t INTERVAL
""".split()  # noqa: SIM905
_SOUND = ("SELECT", "*", "FROM", "things", "WHERE", "waiting", ">", "$1", "AND", "database", "IN", "(", "'x'", ")")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_statement_is_answered_or_refused(data: st.DataObject) -> None:
    """What cannot be read, or carried out, is the client's error, and never ours."""
    words = list(_SOUND)
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(words)))
        words[at : at + data.draw(st.integers(0, 2))] = data.draw(st.lists(st.sampled_from(_WORDS), max_size=3))
    try:
        command, types = read_select(" ".join(words))
        identity = SimpleNamespace(user="ops", database="trunkline")
        instance = SimpleNamespace(siblings=None)
        request = Request(instance, identity, parameters=(None,) * len(types))  # type: ignore[arg-type]
        answer = asyncio.run(command.run(request))
        rows_as_messages(answer.rows, command.columns or (), (1,))
        rows_as_messages(answer.rows, command.columns or ())
    except ConsoleError as error:
        assert error.sqlstate != "XX000"


async def test_more_rows_than_fit_one_turn_are_all_there(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROWS", [("app", "u", number, 0, None) for number in range(1001)])
    assert await ask(instance, "SELECT count(*), max(waiting) FROM things") == [(1001, 1000)]


async def test_joins_look_at_a_limited_number_of_rows(instance: Instance) -> None:
    with pytest.raises(ConsoleError, match="looks at more than 300000 rows") as refusal:
        await ask(instance, "SELECT count(*) FROM pg_attribute a, pg_attribute b")
    assert refusal.value.sqlstate == "54000"


async def test_distinct_rows(instance: Instance) -> None:
    assert await ask(instance, "SELECT DISTINCT database FROM things ORDER BY 1 DESC LIMIT 2") == [("shop",), ("app",)]


async def test_rows_are_numbered(instance: Instance) -> None:
    numbered = "row_number() OVER (PARTITION BY database ORDER BY waiting DESC)"
    assert await ask(instance, f'SELECT "user", {numbered} AS n FROM things ORDER BY database, n') == [
        ("eve", 1), ("ann", 1), ("bob", 2), ("ann", 1)
    ]  # fmt: skip
