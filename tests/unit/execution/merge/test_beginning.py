"""One call of a merge: its types, limits and formats."""

from __future__ import annotations

import pytest

from trunkline.execution.merge.beginning import NotMerged, Parameters, begin, is_exact
from trunkline.routing.spreading.merge import Combine, FromParameter, Kind, Limits, Merge, SortKey

INT4, INT8, TEXT, NUMERIC = 23, 20, 25, 1700


def ordered(limits: Limits = Limits(), unique: int | None = None) -> Merge:  # noqa: B008 - immutable
    return Merge(b"Q", 2, 1, (SortKey(),), unique, limits=limits)


def sql_of(limits: Limits, parameters: Parameters = Parameters(), unique: int | None = None) -> bytes:  # noqa: B008
    return begin(ordered(limits, unique), [TEXT, TEXT, INT8], 2, (), parameters).sql


def test_the_shards_are_asked_for_all_rows_that_may_count() -> None:
    assert sql_of(Limits()) == b"Q"
    assert sql_of(Limits(3, 4)) == b"Q LIMIT 7"
    assert sql_of(Limits(None, 4)) == b"Q"
    assert sql_of(Limits(2, 1, ties=True)) == b"Q FETCH FIRST 3 ROWS WITH TIES"
    assert sql_of(Limits(2**63 - 1, 2**63 - 1)) == b"Q LIMIT %d" % 2**63


def test_what_is_one_row_anyway_is_not_limited() -> None:
    assert sql_of(Limits(3), unique=0) == b"Q"


def test_for_no_rows_nothing_is_computed() -> None:
    for unique in (None, 0, 1):
        assert sql_of(Limits(0, 7), unique=unique) == b"Q LIMIT 0"


def test_parameters_are_limits() -> None:
    limits = Limits(FromParameter(1), FromParameter(2))
    assert sql_of(limits, Parameters((INT8, INT8), (0, 1), (b" 3", (4).to_bytes(8, "big")))) == b"Q LIMIT 7"
    assert sql_of(limits, Parameters((INT8, INT8), (0, 0), (None, None))) == b"Q"
    for value in (b"1.5", b"x", b""):
        with pytest.raises(NotMerged):
            sql_of(limits, Parameters((INT8, INT8), (0, 0), (value, None)))
    with pytest.raises(NotMerged):
        sql_of(limits, Parameters((NUMERIC, INT8), (0, 0), (b"1", None)))
    with pytest.raises(NotMerged):
        sql_of(limits, Parameters((INT8, INT8), (1, 0), (b"123", None)))
    with pytest.raises(NotMerged):
        sql_of(limits, Parameters((INT8,), (0,), (b"1",)))


def test_a_negative_limit_is_postgresqls_to_refuse() -> None:
    assert sql_of(Limits(-1, 3)) == b"Q LIMIT -1 OFFSET 3"
    assert sql_of(Limits(None, -3)) == b"Q OFFSET -3"


def test_hidden_columns_are_asked_for_in_binary() -> None:
    assert begin(ordered(), [TEXT, TEXT, INT8], 2, (), Parameters()).formats == (0, 0, 1)
    assert begin(ordered(), [TEXT, TEXT, INT8], 2, (1,), Parameters()).formats == (1, 1, 1)
    assert begin(ordered(), [TEXT, TEXT, INT8], 2, (0, 1), Parameters()).formats == (0, 1, 1)
    with pytest.raises(NotMerged):
        begin(ordered(), [TEXT, TEXT, INT8], 2, (0, 1, 1), Parameters())


def test_types_decide_whether_it_is_exact() -> None:
    assert is_exact(ordered(), [TEXT, TEXT, INT8])
    assert not is_exact(ordered(), [TEXT, TEXT, TEXT])
    assert not is_exact(ordered(), [TEXT, INT8])
    summed = Merge(b"Q", 1, 1, unique=0, combines=(Combine(Kind.SUM, 0, (1,)),))
    assert is_exact(summed, [INT8, INT8])
    assert not is_exact(summed, [701, 701])
    with pytest.raises(NotMerged):
        begin(summed, [701, 701], 1, (), Parameters())
    with pytest.raises(NotMerged):
        begin(ordered(), [TEXT, TEXT, TEXT], 1, (), Parameters())
