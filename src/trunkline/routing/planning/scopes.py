"""Names in a statement, resolved as PostgreSQL resolves them: FROM items, their columns, CTEs, and scopes in scopes.

A column that matters is a variable, a number; one that is known to exist and does not matter is None. In doubt (two
items have it, or one whose columns are not known may have it) a name resolves to None, never to another column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.routing.sql import Node

SYSTEM_COLUMNS = frozenset(("tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"))

Column = tuple[str, "int | None"]  # an output: its name and its variable


class Variables:
    """Numbers for columns, and the family of types of each (see routing.planning.constants)."""

    __slots__ = ("families",)

    def __init__(self) -> None:
        self.families: list[str | None] = []

    def new(self, family: str | None) -> int:
        self.families.append(family)
        return len(self.families) - 1


class Item:
    """One thing in FROM: the names of its columns, and their variables, made when they are first asked for."""

    __slots__ = ("_made", "_variables", "alias", "complete", "families", "hidden", "schema")

    def __init__(
        self,
        variables: Variables,
        alias: str,
        families: Mapping[str, str | None],
        made: dict[str, int | None] | None = None,
        *,
        schema: str | None = None,
        complete: bool = True,
    ) -> None:
        self._variables = variables
        self.alias = alias
        self.schema = schema  # of a table without an alias
        self.families = families  # column -> family of its type, in order
        self._made = {} if made is None else made
        self.complete = complete  # all its columns are known
        self.hidden: set[str] = set()  # columns that USING has merged with another's

    def variable(self, column: str) -> int | None:
        made = self._made
        if column not in made:
            family = self.families.get(column)
            made[column] = self._variables.new(family) if family is not None else None
        return made[column]

    def visible(self) -> list[str]:
        return [name for name in self.families if name not in self.hidden] if self.hidden else list(self.families)


@dataclass(slots=True)
class Cte:
    """A query of a WITH list, bound anew at each reference."""

    name: str
    node: Node
    scope: Scope
    columns: Sequence[str] = ()
    recursive: bool = False
    busy: bool = False  # it is being bound: a reference to it is its own
    written: Any = None  # of a data-modifying query, which runs once: its bound form


@dataclass(slots=True)
class Scope:
    """The items that a query's expressions see, the CTEs, and the scope around."""

    parent: Scope | None = None
    items: list[Item] = field(default_factory=list)
    ctes: dict[str, Cte] = field(default_factory=dict)
    hides_relations: bool = False  # a body from the catalog: what is around is not seen

    def find_cte(self, name: str) -> Cte | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.parent
        return None

    def resolve(self, fields: Sequence[Node]) -> int | None:
        """The variable of a ColumnRef's fields."""
        names = [part["String"].get("sval", "") for part in fields if "String" in part]
        if len(names) != len(fields):
            return None
        if len(names) == 1:
            return self._bare(names[0])
        return self._qualified(names[-3] if len(names) > 2 else None, names[-2], names[-1])

    def _bare(self, column: str) -> int | None:
        scope: Scope | None = self
        while scope is not None:
            found = [item for item in scope.items if column in item.families and column not in item.hidden]
            if found:
                return found[0].variable(column) if len(found) == 1 else None
            if not all(item.complete for item in scope.items):
                return None
            scope = scope.parent
        return None

    def _qualified(self, schema: str | None, alias: str, column: str) -> int | None:
        item = self.find_item(alias, schema)
        return item.variable(column) if item is not None and column in item.families else None

    def find_item(self, alias: str, schema: str | None = None) -> Item | None:
        scope: Scope | None = self
        while scope is not None:
            for item in scope.items:
                if item.alias == alias and (schema is None or item.schema == schema):
                    return item
            scope = scope.parent
        return None
