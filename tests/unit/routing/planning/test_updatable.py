"""Which table lies below a view through which PostgreSQL writes."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.shop import CATALOG, SHARDING, request
from trunkline.routing.planning.updatable import base_of
from trunkline.routing.schema.catalog import Catalog, Column, Relation, Trigger

_COLUMNS = (Column("k", "int8"), Column("x1", "int4"))


def below(definition: str, **more: object) -> str:
    """The name of the table below a view that is defined so."""
    more = {"columns": _COLUMNS, **more}
    view = Relation("public", "v", "v", definition=definition, **more)  # type: ignore[arg-type]
    catalog = Catalog({**CATALOG.relations, ("public", "v"): view}, CATALOG.functions, server=CATALOG.server)
    analysis = request("SELECT 1").analysis()
    analysis = type(analysis)(
        b"", catalog, SHARDING, ("public",), analysis.bind_select, analysis.bind_write, analysis.bind_statement
    )
    found = base_of(analysis, analysis.find("public", "v"))
    return found.full_name if found is not None else ""


@pytest.mark.parametrize(
    "definition",
    ["SELECT k, x FROM public.a WHERE x > 3", "SELECT k, x1 FROM public.va ORDER BY k", "SELECT * FROM a"],
)
def test_a_plain_selection_is_written_through(definition: str) -> None:
    assert below(definition) == "public.a"


@pytest.mark.parametrize(
    "definition",
    [
        "SELECT a.k, b.y FROM public.a, public.b",
        "SELECT a.k FROM public.a JOIN public.b ON a.k = b.k",
        "SELECT DISTINCT k FROM public.a",
        "SELECT k FROM public.a GROUP BY k",
        "SELECT k FROM public.a LIMIT 3",
        "SELECT k FROM public.a UNION ALL SELECT k FROM public.b",
        "WITH q AS (SELECT 1) SELECT k FROM public.a",
        "SELECT k FROM (SELECT k FROM public.a) q",
        "SELECT k FROM public.nothing",
        "VALUES (1)",
        "no query",
    ],
)
def test_anything_else_is_not(definition: str) -> None:
    assert below(definition) == ""


def test_triggers_rules_and_defaults_of_the_view_decide_by_themselves() -> None:
    plain = "SELECT k, x FROM public.a"
    assert below(plain, triggers=(Trigger("t", ("public", "own")),)) == ""
    assert below(plain, rules=("CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING",)) == ""
    assert below(plain, columns=(Column("k", "int8", default="3"),)) == ""
