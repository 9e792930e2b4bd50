"""Queries within queries."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import request
from trunkline.routing.spreading.merging import plan_or_reason
from trunkline.routing.spreading.unsure import Unsure

LOCAL = [
    "(SELECT y FROM b WHERE b.k = a.k LIMIT 1)",
    "(SELECT count(*) FROM b WHERE b.k = a.k AND EXISTS (SELECT FROM b AS c WHERE c.k = b.k AND c.y <> b.y))",
    "(SELECT count(*) FROM r WHERE r.id = a.x AND EXISTS (SELECT FROM b WHERE b.k = a.k))",
    "(SELECT max(id) FROM r)",
    "ARRAY(SELECT y FROM b WHERE b.k = a.k UNION SELECT a.x)",
    "EXISTS (SELECT FROM (SELECT k, y FROM b) AS q WHERE q.k = a.k)",
]
NOT_LOCAL = [
    "(SELECT y FROM b LIMIT 1)",
    "(SELECT count(*) FROM b WHERE b.y = a.x)",
    "(SELECT count(*) FROM b WHERE b.k = a.k OR b.y = 1)",
    "(SELECT count(*) FROM b LEFT JOIN b AS c ON c.y = b.y WHERE b.k = a.k)",
    "(SELECT count(*) FROM r LEFT JOIN b ON b.y = r.id WHERE r.id = a.x)",
    "EXISTS (SELECT FROM (SELECT k FROM b LIMIT 3) AS q WHERE q.k = a.k)",
    "EXISTS (SELECT FROM other WHERE other.k = a.k)",
    "(SELECT string_agg(name, ',') FROM r)",
]


@pytest.mark.parametrize("text", LOCAL)
def test_a_query_about_rows_with_the_same_key_is_local(text: str) -> None:
    assert plan_or_reason(request(f"SELECT x, {text} FROM a")).visible == 2
    plan_or_reason(request(f"SELECT x FROM a WHERE {text} IS NOT NULL"))


@pytest.mark.parametrize("text", NOT_LOCAL)
def test_a_query_about_others_is_not(text: str) -> None:
    with pytest.raises(Unsure):
        plan_or_reason(request(f"SELECT x, {text} FROM a"))
