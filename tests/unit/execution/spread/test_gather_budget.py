"""How much may be gathered."""

from __future__ import annotations

import pytest

from trunkline.execution.spread.gather_budget import Budget, Total
from trunkline.shard_errors import GatherTooLarge


def test_a_statement_may_have_so_much_and_no_more() -> None:
    budget = Budget(100, 0, Total())
    budget.take(60, "public.orders")
    budget.take(40, "public.orders")
    with pytest.raises(GatherTooLarge) as refused:
        budget.take(1, "public.items")
    assert refused.value.detail is not None and "public.items" in refused.value.detail
    assert refused.value.hint is not None and "gather_max_bytes" in refused.value.hint


def test_all_statements_together_have_a_budget_too() -> None:
    total = Total()
    one, other = Budget(0, 100, total), Budget(0, 100, total)
    one.take(60, "a")
    with pytest.raises(GatherTooLarge, match="at a time"):
        other.take(60, "b")
    other.release()
    one.take(40, "a")
    one.release()
    assert total.bytes == 0


def test_what_is_forgotten_holds_nothing() -> None:
    total = Total()
    Budget(0, 0, total).take(60, "a")
    assert total.bytes == 0
