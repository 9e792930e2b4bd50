"""What a statement waits for whose key is missing in a directory."""

from __future__ import annotations

from trunkline.execution.missing_keys import AskedKey, forget_absent
from trunkline.routing.keys.directory import Directory, Done
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.sharding import KeyMissing, Kind, Sharding, TableRule, Value
from trunkline.routing.schema.catalog import Catalog


def test_the_directory_is_asked_and_there_is_no_plan_to_keep() -> None:
    directory = Directory()
    asked: list[tuple[Value, Done]] = []
    directory.ask = lambda key, done: asked.append((key, done))
    missing = directory.why_not(7)
    assert isinstance(missing, KeyMissing)
    wanted = AskedKey(missing)
    told: list[BaseException | None] = []
    wanted.begin(Catalog(), Sharding(("s0",)), told.append)
    [(key, done)] = asked
    done(None)
    assert (key, told) == (7, [None])
    assert (wanted.plan, wanted.used, wanted.is_of(b"SELECT 1", None)) == (None, False, False)


def test_what_was_absent_is_forgotten_in_every_directory() -> None:
    directory = Directory()
    directory.learn_absent(7, "gone")
    function = make_function("lookup", Rule(("int8",), ("s0",), directory=directory))
    hashed = make_function("hash", Rule(("int8",), ("s0",)))
    tables = {"a": TableRule(Kind.SHARDED, ("id",), hashed, "a"), "b": TableRule(Kind.SHARDED, ("id",), function, "b")}
    forget_absent(Sharding(("s0",), 0, tables | {"c": TableRule(Kind.REFERENCE)}))
    assert directory.absent == 0
