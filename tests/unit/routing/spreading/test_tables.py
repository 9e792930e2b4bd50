"""What stands in FROM."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure

PIECES = [
    "a AS p (q) JOIN b ON b.k = p.q",
    "a NATURAL JOIN va",
    "(a JOIN b USING (k)) AS j JOIN va ON va.k = j.k",
    "va JOIN (SELECT k AS z FROM b) AS q ON q.z = va.k",
    "a, unnest(ARRAY[1, a.x]) AS u",
    "a JOIN r ON true",
    "r LEFT JOIN r AS s USING (id), a",
]
OTHERS = [
    "a TABLESAMPLE system (10)",
    "a, nobody",
    "a, pg_class",
    "a JOIN b USING (t)",
    "(SELECT k, k FROM a) AS q",
    "a, ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS g",
    "a, own(1) AS o",
]


@pytest.mark.parametrize("clause", PIECES)
def test_pieces(clause: str) -> None:
    sql = f"SELECT count(*) FROM {clause}"
    assert plan_or_reason(request(sql)).unique == 0


@pytest.mark.parametrize("clause", OTHERS)
def test_what_is_not_known_is_none(clause: str) -> None:
    with pytest.raises(Unsure):
        plan_or_reason(request(f"SELECT 1 FROM {clause}"))
