"""Tables of several processes as one."""

from __future__ import annotations

from trunkline.admin import columns, console  # noqa: F401 (the console enters all commands into the table)
from trunkline.admin.commands import COMMANDS
from trunkline.admin.merging import OWN, RULES, merged

NOTHING = (0,) * 11


def pool(database: str, active: int, maxwait: int, maxwait_us: int) -> tuple[object, ...]:
    return (database, "me", active, *NOTHING[:10], maxwait, maxwait_us, "transaction", None)


def test_numbers_of_the_same_pool_are_summed_up_and_the_longest_wait_counts() -> None:
    ours = [pool("a", 1, 2, 5), pool("b", 1, 0, 0)]
    theirs = [list(pool("c", 7, 0, 0)), list(pool("a", 3, 1, 9))]
    rows = merged("POOLS", columns.POOLS, [ours, theirs])  # type: ignore[list-item]
    assert rows == [pool("a", 4, 2, 5), pool("b", 1, 0, 0), pool("c", 7, 0, 0)]


def test_a_longer_wait_elsewhere_is_shown_whole() -> None:
    rows = merged("POOLS", columns.POOLS, [[pool("a", 1, 1, 9)], [pool("a", 1, 2, 5)]])  # type: ignore[list-item]
    assert rows == [pool("a", 2, 2, 5)]


def test_rows_of_connections_stand_side_by_side_and_equal_ones_once() -> None:
    assert merged("DRIFT", columns.DRIFT, [[("a", "s0")], [["a", "s0"], ["a", "s1"]]]) == [("a", "s0"), ("a", "s1")]


def test_what_is_configured_is_as_the_asked_process_has_it() -> None:
    ours, theirs = ("a", 1, 2, 3, "0.1 s ago"), ("a", 1, 2, 3, "now")
    names = tuple((name, 25) for name in ("database", "directory", "tables", "entries", "age"))
    assert merged("DIRECTORIES", names, [[(*ours[:4], ours[4])], [theirs]])[0][4] == "0.1 s ago"


def test_every_rule_is_about_columns_that_there_are() -> None:
    for name, rule in RULES.items():
        command = COMMANDS["SHOW", name]
        assert command.columns is not None
        known = {column for column, _ in command.columns}
        assert known.issuperset(f"{rule.keys} {rule.sums} {rule.longest}".split()), name
    assert all(("SHOW", name) in COMMANDS for name in OWN)
