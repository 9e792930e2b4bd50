"""Where a gathered statement runs, and what is copied for it."""

from __future__ import annotations

from types import SimpleNamespace

from tests.unit.routing.spreading.asking import gathered, request
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.description import Description
from trunkline.execution.spread.gather import Gathering

SETTINGS = SimpleNamespace(gather_max_bytes=0, gather_max_total_bytes=0)


def pool(leased: int) -> SimpleNamespace:
    config = SimpleNamespace(settings=SETTINGS)
    return SimpleNamespace(active=range(leased), waiting=(), pools=SimpleNamespace(config=config))


def work(sql: str, masks: dict[str, int], *, load: tuple[int, int, int] = (0, 0, 0), block: bool = False) -> Gathering:
    """Of a statement over three shards, of which the first is home."""
    asking = request(sql)
    asked = Asked(asking, Description((), ()), masks=[masks.get(one.table, 1) for one in asking.plan.occurrences])
    participants = SimpleNamespace(pools=[pool(one) for one in load], in_transaction=block)
    return Gathering(gathered(sql), asked, participants)  # type: ignore[arg-type]


def copied(gathering: Gathering, place: int) -> list[str]:
    return [table.relation.name for table in gathering._copied(place)]


def test_it_runs_on_the_least_loaded_shard_of_those_with_its_rows() -> None:
    assert work("SELECT 1 FROM orders", {"public.orders": 0b110}, load=(0, 5, 2))._place() == 2
    assert work("SELECT 1 FROM orders", {"public.orders": 0b011}, load=(3, 2, 0))._place() == 1


def test_it_runs_at_home_where_home_tables_are_concerned() -> None:
    assert work("SELECT 1 FROM orders, logs", {"public.orders": 0b110}, load=(9, 0, 0))._place() == 0


def test_what_lies_there_whole_is_not_copied() -> None:
    found = work("SELECT 1 FROM orders, customers, countries", {"public.orders": 0b010, "public.customers": 0b111})
    assert copied(found, 1) == ["customers"]
    assert copied(found, 2) == ["orders", "customers"]


def test_in_a_block_all_tables_are_read_through_its_participants() -> None:
    found = work("SELECT 1 FROM orders, countries, logs", {"public.orders": 0b010}, block=True)
    assert copied(found, 1) == ["orders", "countries", "logs"]
