"""Tables and functions of a sharded database: what each line becomes, and what is said where it cannot be right."""

from pathlib import Path

import pytest

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.key_kinds import KeyList, KeyRange, Lookup
from trunkline.config.sharding import FunctionSettings, ShardingSettings, TableSettings
from trunkline.config.toml_file import load

# What a test adds begins on line 9.
HEAD = """auth_type = "trust"
[[databases.shop.shards]]
name = "s0"
primary = "postgres://h0/shop"
[[databases.shop.shards]]
name = "s1"
primary = "postgres://h1/shop"
[databases.shop.tables]
"""


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> ShardingSettings:
        path = tmp_path / "trunkline.toml"
        path.write_text(HEAD + text)
        sharding = load(path).databases["shop"].sharding
        assert sharding is not None
        return sharding

    return read


def test_every_form_of_table_is_read(read) -> None:
    tables = read(
        """
customers = { shard_by = "id" }
orders    = { shard_by = "customer_id", colocated_with = "customers" }
items     = { shard_by = "customer", colocated_with = "orders" }
pairs     = { shard_by = ["tenant", "id"] }
countries = { reference = true }
events    = { shard_by = "region", method = "list", lists = { s0 = ["us", 7], s1 = [] }, default = "s0" }
days      = { shard_by = "at", method = "range", ranges = [
    { to = 2024-01-01, shard = "s0" }, { from = 2024-01-01, to = 2025-02-03, shard = "s1" } ] }
hours     = { shard_by = "at", method = "range", ranges = [{ from = 2024-01-01T00:00:00Z, shard = "s0" }] }
words     = { shard_by = "w", method = "range", ranges = [{ from = "a", to = "b", shard = "s0" }] }
legacy    = { shard_by = "id", method = "modulo" }
looked_up = { shard_by = "t", method = "lookup", lookup = { table = "d", key = "tenant", shard = "shard" } }
sales.orders = { shard_by = "id", method = "md5" }
"sales.items" = { shard_by = "id", method = "sha256" }
"""
    ).tables
    assert tables == {
        "customers": TableSettings(("id",), group="customers"),
        "orders": TableSettings(("customer_id",), colocated_with="customers", group="customers"),
        "items": TableSettings(("customer",), colocated_with="orders", group="customers"),
        "pairs": TableSettings(("tenant", "id"), group="pairs"),
        "countries": TableSettings(reference=True, group="countries"),
        "events": TableSettings(
            ("region",),
            method="list",
            lists=(KeyList("s0", ("us", "7")), KeyList("s1", ())),
            default="s0",
            group="events",
        ),
        "days": TableSettings(
            ("at",),
            method="range",
            ranges=(KeyRange(None, "2024-01-01", "s0"), KeyRange("2024-01-01", "2025-02-03", "s1")),
            group="days",
        ),
        "hours": TableSettings(
            ("at",), method="range", ranges=(KeyRange("2024-01-01 00:00:00+00:00", None, "s0"),), group="hours"
        ),
        "words": TableSettings(("w",), method="range", ranges=(KeyRange("a", "b", "s0"),), group="words"),
        "legacy": TableSettings(("id",), method="modulo", group="legacy"),
        "looked_up": TableSettings(("t",), method="lookup", lookup=Lookup("d", "tenant", "shard"), group="looked_up"),
        "sales.orders": TableSettings(("id",), method="md5", group="sales.orders"),
        "sales.items": TableSettings(("id",), method="sha256", group="sales.items"),
    }


def test_a_colocated_table_has_the_whole_rule_of_the_other(read) -> None:
    tables = read(
        'a = { shard_by = "x", method = "list", lists = { s1 = ["k"] }, default = "s0" }\n'
        'b = { shard_by = "y", colocated_with = "a" }\n'
    ).tables
    assert (tables["b"].method, tables["b"].lists, tables["b"].default) == ("list", tables["a"].lists, "s0")


def test_functions_and_schemas_are_read(read) -> None:
    sharding = read(
        'orders = { shard_by = "id" }\n[databases.shop.functions]\norder_total = { key_arg = 1, table = "orders" }\n'
        '[databases.shop.schemas]\nacme = "s1"\n'
    )
    assert sharding.functions == {"order_total": FunctionSettings(1, "orders")}
    assert sharding.schemas == {"acme": "s1"}


A = 'a = { shard_by = "id" }\n'
RANGE = 'a = { shard_by = "id", method = "range", ranges = [\n'
WRONG = [
    ("a = 1\n", (9, "must be a table, written [databases.shop.tables.a]")),
    ("a = {}\n", (9, "`a` is neither sharded nor a reference table")),
    ("a = { reference = true, shard_by = 'id' }\n", (9, "a reference table has no `shard_by`")),
    ("a = { shard_bi = 'id' }\n", (9, "unknown setting `shard_bi`")),
    ("a = { shard_by = ['x', 'x'] }\n", (9, "a column is there twice")),
    ("a = { shard_by = 'x', method = 'hush' }\n", (9, "`method`: unknown value `hush`")),
    ("a = { shard_by = ['x', 'y'], method = 'modulo' }\n", (9, "method modulo takes one column")),
    ("a = { shard_by = 'x', method = 'list' }\n", (9, "method list needs `lists`")),
    ("a = { shard_by = 'x', method = 'range' }\n", (9, "method range needs `ranges`")),
    ("a = { shard_by = 'x', method = 'lookup' }\n", (9, "method lookup needs `lookup`")),
    ("a = { shard_by = 'x', default = 's0' }\n", (9, "`default` has no meaning with method hash")),
    (A + "b = { shard_by = 'x', colocated_with = 'aa' }\n", (10, "there is no table `aa`")),
    (A + "b = { shard_by = ['x', 'y'], colocated_with = 'a' }\n", (10, "the key of `a` has 1 columns, this one 2")),
    (A + "b = { shard_by = 'x', colocated_with = 'a', method = 'md5' }\n", (10, "`method` is not that of `a`")),
    (
        "a = { reference = true }\nb = { shard_by = 'x', colocated_with = 'a' }\n",
        (10, "`a` is a reference table"),
    ),
    ("a = { shard_by = 'x', colocated_with = 'a' }\n", (9, "tables that are colocated in a circle")),
    (A + "'public.a' = { shard_by = 'id' }\n", (10, "`public.a` is there twice")),
    (
        "'acme.a' = { shard_by = 'id' }\n[databases.shop.schemas]\nacme = 's0'\n",
        (9, "the schema `acme` is on one shard already"),
    ),
    (
        "a = { shard_by = 'x', method = 'list', lists = { s0 = ['k'],  s1 = ['k'] } }\n",
        (9, "`lists`: `k` is listed with `s0` already"),
    ),
    ("a = { shard_by = 'x', method = 'list', lists = { s0 = [1, '1'] } }\n", (9, "`lists`: `1` is listed twice")),
    ("a = { shard_by = 'x', method = 'list', lists = { s5 = ['k'] } }\n", (9, "there is no shard `s5`")),
    (RANGE + "{ to = 5, shard = 's0' },\n{ from = 4, shard = 's1' }] }\n", (11, "`ranges`: overlaps range 1")),
    (RANGE + "{ shard = 's0' },\n{ from = 4, shard = 's1' }] }\n", (11, "`ranges`: overlaps range 1")),
    (
        RANGE + "{ from = 5, to = 5, shard = 's0' }] }\n",
        (10, "`ranges`: an empty range: `to` is not above `from`"),
    ),
    (
        RANGE + "{ to = 5, shard = 's0' },\n{ from = 2024-01-01, shard = 's1' }] }\n",
        (11, "`ranges`: numbers and dates in one list of ranges"),
    ),
    (RANGE + "{ to = 5, shard = 's7' }] }\n", (10, "there is no shard `s7`")),
    (RANGE + "{ to = 5, at = 's7' }] }\n", (10, "`ranges`: unknown key `at`")),
    (RANGE + "{ to = 5 }] }\n", (10, "`ranges`: needs `shard`, a string")),
    (A + "[databases.shop.functions]\nf = { key_arg = 1 }\n", (11, "function `f` needs `table`")),
    (A + "[databases.shop.functions]\nf = { key_arg = 0, table = 'a' }\n", (11, "`key_arg`: must be from 1 to 100")),
    (A + "[databases.shop.functions]\nf = { key_arg = 1, table = 'b' }\n", (11, "there is no table `b`")),
    (
        "a = { reference = true }\n[databases.shop.functions]\nf = { key_arg = 1, table = 'a' }\n",
        (11, "`a` has no key of one column"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[message for _, (_, message) in WRONG])
def test_what_cannot_be_is_said_with_its_line(read, text: str, expected: tuple[int, str]) -> None:
    with pytest.raises(ConfigErrors) as error:
        read(text)
    assert [(d.line, d.message) for d in error.value.diagnostics] == [expected]
