"""What is kept of a text that concerned several shards."""

from __future__ import annotations

from tests.unit.execution.spread.sharded_shop import shop
from trunkline.execution.spread.studies import CAPACITY, Studies
from trunkline.routing.plans.call import Call


def test_a_text_is_studied_once_in_a_context() -> None:
    router, context = shop()
    studies = Studies()
    study = studies.of(b"SELECT name FROM customers", router, context)
    assert studies.of(b"SELECT name FROM customers", router, context) is study
    router.learn(router.catalog, router.sharding)
    _, other = shop()
    assert studies.of(b"SELECT name FROM customers", router, other) is not study


def test_values_say_which_shards_a_call_concerns() -> None:
    router, context = shop()
    sql = b"SELECT name FROM customers WHERE id IN (2, 4)"
    study = Studies().of(sql, router, context)
    call = Call(sql)
    assert (study.mask(call), study.masks(call)) == (0b01, (0b01,))
    assert Studies().of(b"SELECT 1 FROM customers", router, context).mask(Call(b"SELECT 1 FROM customers")) == 0b11


def test_several_statements_at_once_are_no_request() -> None:
    router, context = shop()
    assert Studies().of(b"SELECT 1; SELECT 2", router, context).request is None


def test_no_more_than_so_many_are_kept() -> None:
    router, context = shop()
    studies = Studies()
    first = studies.of(b"SELECT 0", router, context)
    for number in range(1, CAPACITY + 1):
        studies.of(b"SELECT %d" % number, router, context)
    assert studies.of(b"SELECT 0", router, context) is not first
