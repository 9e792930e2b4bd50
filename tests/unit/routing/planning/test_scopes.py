"""Names resolve as PostgreSQL resolves them, or to nothing."""

from __future__ import annotations

from trunkline.routing.planning.scopes import Cte, Item, Scope, Variables

VARIABLES = Variables()


def item(alias: str, *columns: str, complete: bool = True, schema: str | None = None) -> Item:
    return Item(VARIABLES, alias, dict.fromkeys(columns, "integer"), complete=complete, schema=schema)


def fields(name: str) -> list[dict[str, dict[str, str]]]:
    return [{"String": {"sval": part}} for part in name.split(".")]


def test_a_bare_name_is_the_only_column_of_that_name() -> None:
    a, b = item("a", "x", "k"), item("b", "y", "k")
    scope = Scope(items=[a, b])
    assert scope.resolve(fields("x")) == a.variable("x")
    assert scope.resolve(fields("k")) is None
    assert scope.resolve(fields("b.k")) == b.variable("k")


def test_an_inner_item_hides_an_outer_one() -> None:
    outer, inner = item("a", "k"), item("a", "z")
    scope = Scope(Scope(items=[outer]), [inner])
    assert scope.resolve(fields("k")) == outer.variable("k")
    assert scope.resolve(fields("a.k")) is None


def test_unknown_columns_hide_those_around() -> None:
    scope = Scope(Scope(items=[item("a", "k")]), [item("f", complete=False)])
    assert scope.resolve(fields("k")) is None


def test_a_table_is_found_by_its_schema() -> None:
    a, b = item("t", "k", schema="one"), item("t", "k", schema="two")
    assert Scope(items=[a, b]).resolve(fields("two.t.k")) == b.variable("k")


def test_a_column_that_using_merged_is_seen_once() -> None:
    a, b = item("a", "k"), item("b", "k")
    b.hidden.add("k")
    assert Scope(items=[a, b]).resolve(fields("k")) == a.variable("k")


def test_the_nearest_cte_is_meant() -> None:
    outer, inner = Cte("x", {}, Scope()), Cte("x", {}, Scope())
    scope = Scope(Scope(ctes={"x": outer}), ctes={"x": inner})
    assert scope.find_cte("x") is inner
    assert scope.find_cte("y") is None
