"""The reading of one statement: what it is read against, and what has been found so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from sys import intern

from trunkline.routing.keys.sharding import HOME_RULE, Kind, Sharding, TableRule
from trunkline.routing.planning.constants import constant, family_of
from trunkline.routing.planning.facts import Facts
from trunkline.routing.planning.scopes import Column, Item, Scope
from trunkline.routing.planning.tree import Block, Combination, Derived, Part, linked
from trunkline.routing.plans.plan import Constant, Literal, Source
from trunkline.routing.schema.catalog import SYSTEM_SCHEMAS, Catalog, Relation
from trunkline.routing.sql import Node, only, token_at

Outputs = Sequence[Column] | None  # None: they are not known
Query = Block | Combination


@dataclass(slots=True)
class Found:
    """A table that a name means, and its rule. `columns` are those known, with the families of their types."""

    schema: str
    name: str
    rule: TableRule
    columns: Mapping[str, str | None]
    relation: Relation | None
    shard: int | None = None  # of a schema that lies on one shard

    @property
    def full_name(self) -> str:
        return intern(f"{self.schema}.{self.name}")


@dataclass(slots=True)
class Analysis:
    """Passed to all that reads a part of the statement."""

    text: bytes
    catalog: Catalog
    sharding: Sharding
    search_path: tuple[str, ...]
    bind_select: Callable[[Analysis, Node, Scope], tuple[Query, Outputs]]
    bind_write: Callable[[Analysis, str, Node, Scope], tuple[Query, Outputs]]
    bind_statement: Callable[[Analysis, str, Node], Part | None]
    facts: Facts = field(default_factory=Facts)
    is_own: bool = True  # it is the client's text that is read, not one from the catalog
    arguments: Mapping[str, Source] | None = None  # of the function whose body is read
    bodies: tuple[object, ...] = ()  # of functions that are being read, so that a recursion ends

    @property
    def trusts_names(self) -> bool:
        """Whether an unqualified operator or type is PostgreSQL's own."""
        return "pg_catalog" not in self.search_path or self.search_path[0] == "pg_catalog"

    def find(self, schema: str | None, name: str) -> Found:
        """The table of this name; one that the catalog does not know is what the configuration says of it."""
        relation = self.catalog.find_relation(schema, name, self.search_path)
        if relation is None:
            return self._unknown(schema, name)
        rule, shard = self._rule_of(relation)
        columns = {column.name: _family(column.type, column.deterministic) for column in relation.columns}
        return Found(relation.schema, relation.name, rule, columns, relation, shard)

    def _rule_of(self, relation: Relation) -> tuple[TableRule, int | None]:
        """A partition has the rule of its topmost parent, unless it is named itself."""
        shard = self.sharding.schemas.get(relation.schema)
        seen = set()
        current: Relation | None = relation
        while current is not None and (current.schema, current.name) not in seen:
            seen.add((current.schema, current.name))
            rule = self.sharding.rule_of(current.schema, current.name)
            if rule.kind is not Kind.HOME or current.parent is None:
                return rule, shard
            current = self.catalog.relations.get(current.parent)
        return HOME_RULE, shard

    def _unknown(self, schema: str | None, name: str) -> Found:
        places = [schema] if schema is not None else [one for one in self.search_path if one != "pg_catalog"]
        for place in places:
            rule = self.sharding.rule_of(place, name)
            if rule.kind is not Kind.HOME:
                types = rule.function.types if rule.function is not None else ()
                families = {
                    column: family_of(type.partition("(")[0]) for column, type in zip(rule.columns, types, strict=False)
                }
                return Found(place, name, rule, families, None)
        place = places[0] if places else "public"
        if schema is None and name.startswith("pg_"):
            place = "pg_catalog"
        return Found(place, name, HOME_RULE, {}, None, self.sharding.schemas.get(place))

    def inside(self, text: str, search_path: tuple[str, ...]) -> Analysis:
        """To read another text that this statement runs: what is found there is found here."""
        return replace(self, text=text.encode(), search_path=search_path, is_own=False)

    def apart(self) -> Analysis:
        """To look at something that does not count: with facts of its own."""
        return replace(self, facts=Facts())

    def within(self, bodies: tuple[object, ...], arguments: Mapping[str, Source]) -> Analysis:
        """To look into a body, which is then taken over as a whole."""
        return replace(self, facts=Facts(), bodies=bodies, arguments=arguments)

    def constant(self, wrapped: Node) -> Source | None:
        """The constant that an expression is. One of a text from the catalog is given by its value."""
        source = constant(*only(wrapped), self.text)
        if self.is_own or source is None or isinstance(source, Constant):
            return source
        if isinstance(source, Literal):
            return Constant(token_at(self.text, source), source.type)
        return (self.arguments or {}).get(str(source.number)) if not source.type else None

    def fix(self, literal: Node, places: set[int] | None = None) -> None:
        """What the plan is depends on this literal of the statement."""
        if self.is_own:
            (self.facts.fixed if places is None else places).add(literal.get("location", 0))

    def is_system(self, found: Found) -> bool:
        return found.schema in SYSTEM_SCHEMAS

    def derive(self, query: Query, outputs: Outputs, alias: str, names: Sequence[str] = ()) -> tuple[Derived, Item]:
        """A query as an item of FROM, under an alias and perhaps with new names for its first columns."""
        variables = self.facts.variables
        families: dict[str, str | None] = {}
        made: dict[str, int | None] = {}
        links = []
        own: set[int] = set()
        columns: list[int | None] = []
        for place, (name, inner) in enumerate(outputs or ()):
            called = names[place] if place < len(names) else name
            outer = variables.new(variables.families[inner]) if inner is not None else None
            columns.append(outer)
            families[called] = None
            made[called] = None if called in made else outer  # which of two it would be is not certain
            if outer is not None:
                own.add(outer)
                links += linked(outer, inner)
        if outputs is None:
            families.update(dict.fromkeys(names))
        item = Item(variables, alias, families, made, complete=outputs is not None)
        return Derived(query, frozenset(own), links, columns), item


def _family(type: str, deterministic: bool) -> str | None:
    """None for a column whose collation finds equal what is not the same."""
    return family_of(type) if deterministic else None
