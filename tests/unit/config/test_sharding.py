"""The description of a sharded database, apart from where it was read from."""

from trunkline.config.address import parse_url
from trunkline.config.key_kinds import KeyList
from trunkline.config.sharding import FunctionSettings, ShardingSettings, ShardSettings, TableSettings

SHARDS = tuple(ShardSettings(name, parse_url(f"postgres://ann:hush@{name}")) for name in ("a", "b"))


def test_a_database_that_is_listed_is_not_hashed() -> None:
    sharding = ShardingSettings(SHARDS, "a", (0, 0, 0), names={"t": "b"})
    assert sharding.shard_of_database("t") == "b"
    assert sharding.shard_of_database("u") == "a"


def test_a_name_that_is_not_utf_8_has_its_shard_too() -> None:
    assert ShardingSettings(SHARDS, "a", (1,)).shard_of_database("\udcff") == "b"


def test_rows_say_what_the_file_says_without_secrets() -> None:
    sharding = ShardingSettings(
        SHARDS,
        "a",
        (0, 1),
        tables={"t": TableSettings(("x", "y"), group="t"), "r": TableSettings(reference=True, group="r")}
        | {"l": TableSettings(("x",), method="list", lists=(KeyList("a", ("1", "2")),), default="b")},
        schemas={"s": "a"},
        functions={"f": FunctionSettings(2, "t")},
        names={"d": "b"},
    )
    assert [(key, shown) for key, _, shown in sharding.rows()] == [
        ("shards.a", "name = a, primary = a:5432/"),
        ("shards.b", "name = b, primary = b:5432/"),
        ("tables.t", "shard_by = x, y, method = hash"),
        ("tables.r", "reference = 1, method = hash"),
        ("tables.l", "shard_by = x, method = list, lists = a: 1, 2, default = b"),
        ("schemas.s", "a"),
        ("functions.f", "key_arg = 2, table = t"),
        ("names.d", "b"),
    ]
