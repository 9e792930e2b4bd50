"""Statements over the shop of the golden cases, as requests."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.routing.golden_shop import CATALOG, SHARDING
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Catalog, Function, Name, Relation
from trunkline.routing.spreading import gathering
from trunkline.routing.spreading.gathering import Gather, Gathered
from trunkline.routing.spreading.gathering_filters import Given, written
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import parse_any


def with_functions(*functions: Function) -> Catalog:
    found = dict(CATALOG.functions)
    for one in functions:
        found[one.schema, one.name] = (one,)
    return replace(CATALOG, functions=found)


def with_relations(*relations: Relation) -> Catalog:
    return replace(CATALOG, relations={**CATALOG.relations, **{(one.schema, one.name): one for one in relations}})


def request(sql: str, catalog: Catalog = CATALOG, path: tuple[str, ...] = ("public",)) -> Request:
    kind, node = parse_any(sql.encode())[0]
    return Request(sql.encode(), kind, node, catalog, SHARDING, path, plan(sql.encode(), catalog, SHARDING, path))


def gathered(sql: str, catalog: Catalog = CATALOG) -> Gather:
    found = gathering.plan(request(sql, catalog))
    assert isinstance(found, Gather), found
    return found


def refused(sql: str, catalog: Catalog = CATALOG) -> str:
    found = gathering.plan(request(sql, catalog))
    assert isinstance(found, Refusal), found
    return found.reason


def table(sql: str, name: str) -> Gathered:
    return next(one for one in gathered(sql).tables if one.relation.name == name)


def columns(sql: str, name: str) -> str:
    return " ".join(column.name for column in table(sql, name).columns)


def asked(sql: str, name: str) -> str | None:
    """The filter of a table, with parameters as they are written."""

    def value_of(given: Given) -> str:
        return f"${given.number}" + (f"::{given.cast}" if given.cast else "")

    return written(table(sql, name).filter, value_of)


def rewritten(sql: str, *copied: Name) -> str:
    found = gathered(sql)
    return found.statement(found.shadowed(copied)).decode()
