"""Names: which column a word means, and that expressions are not read without an end."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.admin.reader import Known, Reader, Statement
from trunkline.admin.result import ConsoleError
from trunkline.admin.scopes import Scope
from trunkline.protocol.messages import INT4


def _no_subquery(*_: Any) -> Any:
    raise AssertionError


def test_a_column_is_looked_for_here_then_around() -> None:
    around = Reader(Statement(_no_subquery), [Known("o", "n", INT4), Known("o", "m", INT4)])
    reader = Reader(
        around.statement, [Known("t", "n", INT4), Known("u", "k", INT4), Known("v", "k", INT4, True)], around
    )
    scope = Scope((1, 2, 3), outer=Scope((8, 9)))
    found = {(name, of): reader.resolved(name, of) for name, of in (("n", None), ("n", "o"), ("m", None), ("k", "v"))}
    assert [one.evaluate(scope) for one in found.values() if one is not None] == [1, 8, 9, 3]
    assert reader.resolved("k", None) is not None and reader.resolved("x", None) is None


def test_a_name_that_means_two_columns_is_an_error() -> None:
    reader = Reader(Statement(_no_subquery), [Known("t", "n", INT4), Known("u", "n", INT4)])
    with pytest.raises(ConsoleError, match='column reference "n" is ambiguous'):
        reader.resolved("n", None)
