"""NULL in comparisons with many, and the limit of what one statement looks at."""

from __future__ import annotations

import operator

import pytest

from trunkline.admin.result import ConsoleError
from trunkline.admin.scopes import MAX_WORK, Run, Scope, compared, decided, strict


def test_any_and_all_have_three_values() -> None:
    assert compared(operator.eq, 1, [2, 1, None], True) is True
    assert compared(operator.eq, 1, [2, None], True) is None
    assert compared(operator.eq, 1, [2], True) is False
    assert compared(operator.eq, None, [], True) is False
    assert compared(operator.ne, 1, [2, None], False) is None
    assert compared(operator.ne, 1, [1, None], False) is False


def test_what_is_strict_is_null_of_null() -> None:
    assert strict(operator.add, lambda _: 1, lambda _: None)(Scope(())) is None
    assert decided([lambda _: None, lambda _: True], True)(Scope(())) is True


def test_a_statement_looks_at_a_limited_number_of_rows() -> None:
    run = Run(work=MAX_WORK - 1)
    run.spend()
    with pytest.raises(ConsoleError, match="looks at more than"):
        run.spend()
