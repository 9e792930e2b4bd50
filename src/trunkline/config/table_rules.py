"""The tables and functions of a sharded database: each by itself, then what one says of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trunkline.config.diagnostics import Path, Report, did_you_mean
from trunkline.config.sections import Raw, SectionReader
from trunkline.config.sharding import FunctionSettings, TableSettings

_OWN_KEYS = frozenset(("shard_by", "reference", "colocated_with"))
_OPTIONS: Mapping[str, tuple[str, ...]] = {"range": ("ranges",), "list": ("lists",), "lookup": ("lookup",)}
"""Of methods that need it: what says where the keys are."""
_WITH_DEFAULT = ("range", "list")
_RULE = ("method", "ranges", "lists", "lookup", "default")
"""What a table takes over from the one that it is colocated with."""


@dataclass(slots=True)
class TableRules:
    """Reads the sections `tables` and `functions` of one database."""

    report: Report
    sections: SectionReader
    path: Path
    raw: Raw
    shards: list[str]
    schemas: frozenset[str]
    _places: dict[str, Path] = field(default_factory=dict)

    def tables(self) -> Mapping[str, TableSettings]:
        """All that are right, each with the group that it belongs to."""
        written = dict(self._written())
        read = {name: self._table(name, raw) for name, raw in written.items()}
        tables = {name: table for name, table in read.items() if table is not None}
        grouped = {name: self._grouped(name, written[name], tables) for name in tables}
        return {name: table for name, table in grouped.items() if table is not None}

    def _written(self) -> list[tuple[str, Raw]]:
        """Each table by its name; a table of tables is a schema, which is how TOML reads `sales.orders = {...}`."""
        found: list[tuple[str, Raw]] = []
        for name, raw in self.sections.tables(self.raw, "tables", self.path):
            at = (*self.path, "tables", name)
            if raw and not _OWN_KEYS & raw.keys() and all(isinstance(value, dict) for value in raw.values()):
                found += [(f"{name}.{table}", inner) for table, inner in raw.items() if isinstance(inner, dict)]
                self._places |= {f"{name}.{table}": (*at, table) for table in raw}
            else:
                found.append((name, raw))
                self._places[name] = at
        for name, _ in found:
            if name.removeprefix("public.") != name and name.removeprefix("public.") in self._places:
                self.report.add(self._places[name], f"`{name}` is there twice", "a bare name is of public", part="key")
        return found

    # --- one table ----------------------------------------------------------------------------------------------

    def _table(self, name: str, raw: Raw) -> TableSettings | None:
        at = self._places[name]
        before = len(self.report.diagnostics)
        table = TableSettings(**self.sections.read(TableSettings, raw, at), group=name)
        if len(self.report.diagnostics) == before:
            self._check(name, table, raw, at)
        return table if len(self.report.diagnostics) == before else None

    def _check(self, name: str, table: TableSettings, raw: Raw, at: Path) -> None:
        schema, dot, _ = name.partition(".")
        if dot and schema in self.schemas:
            self.report.add(at, f"the schema `{schema}` is on one shard already", "remove one of them", part="key")
        if table.reference:
            others = [key for key in raw if key != "reference"]
            if others:
                hint = "remove one of them"
                self.report.add((*at, others[0]), f"a reference table has no `{others[0]}`", hint, part="key")
            return
        if not table.shard_by:
            hint = 'add shard_by = "column" or reference = true'
            self.report.add(at, f"`{name}` is neither sharded nor a reference table", hint, part="key")
        elif len(set(table.shard_by)) < len(table.shard_by):
            self.report.add((*at, "shard_by"), "a column is there twice")
        elif not table.colocated_with:
            self._check_method(table, raw, at)

    def _check_method(self, table: TableSettings, raw: Raw, at: Path) -> None:
        allowed = (*_OPTIONS.get(table.method, ()), *(("default",) if table.method in _WITH_DEFAULT else ()))
        for key in _RULE[1:]:
            if key in raw and key not in allowed:
                self.report.add((*at, key), f"`{key}` has no meaning with method {table.method}", part="key")
        for key in _OPTIONS.get(table.method, ()):
            if not getattr(table, key):
                self.report.add(at, f"method {table.method} needs `{key}`", part="key")
        if table.method != "hash" and len(table.shard_by) > 1:
            self.report.add((*at, "shard_by"), f"method {table.method} takes one column", "hash takes several")
        self._check_shards(table, at)

    def _check_shards(self, table: TableSettings, at: Path) -> None:
        named: list[tuple[Path, str]] = [((*at, "lists", one.shard), one.shard) for one in table.lists]
        named += [((*at, "ranges", number, "shard"), one.shard) for number, one in enumerate(table.ranges)]
        named += [((*at, "default"), table.default)] if table.default else []
        for place, shard in named:
            if shard not in self.shards:
                hint = did_you_mean(shard, self.shards) or "shards: " + ", ".join(self.shards)
                self.report.add(
                    place, f"there is no shard `{shard}`", hint, part="key" if "lists" in place else "value"
                )

    # --- one and another ----------------------------------------------------------------------------------------

    def _grouped(self, name: str, raw: Raw, tables: Mapping[str, TableSettings]) -> TableSettings | None:
        """The table with the rule of the one at the end of its `colocated_with`, or None if that is not right."""
        table = tables[name]
        root, seen = name, {name}
        at = (*self._places[name], "colocated_with")
        while tables[root].colocated_with:
            root = tables[root].colocated_with
            if root not in tables:
                if root not in self._places:
                    hint = did_you_mean(root, self._places)
                    self.report.add(at, f"there is no table `{root}`", hint)
                return None
            if root in seen:
                self.report.add(at, "tables that are colocated in a circle", "leave it out of one of them")
                return None
            seen.add(root)
        return self._with_rule(table, tables[root], raw, at) if root != name else table

    def _with_rule(self, table: TableSettings, root: TableSettings, raw: Raw, at: Path) -> TableSettings | None:
        if root.reference:
            self.report.add(at, f"`{root.group}` is a reference table", "its rows are on every shard anyway")
            return None
        if len(table.shard_by) != len(root.shard_by):
            message = f"the key of `{root.group}` has {len(root.shard_by)} columns, this one {len(table.shard_by)}"
            self.report.add(at, message)
            return None
        for key in _RULE:
            if key in raw and getattr(table, key) != getattr(root, key):
                message = f"`{key}` is not that of `{root.group}`"
                self.report.add((*at[:-1], key), message, "leave it out, or leave out colocated_with")
                return None
        return replace(table, group=root.group, **{key: getattr(root, key) for key in _RULE})

    def functions(self, tables: Mapping[str, TableSettings]) -> Mapping[str, FunctionSettings]:
        """Functions whose argument is a key."""
        found = {}
        for name, raw in self.sections.tables(self.raw, "functions", self.path):
            at = (*self.path, "functions", name)
            before = len(self.report.diagnostics)
            function = FunctionSettings(**self.sections.read(FunctionSettings, raw, at))
            for key in ("key_arg", "table"):
                if key not in raw:
                    self.report.add(at, f"function `{name}` needs `{key}`", part="key")
            if len(self.report.diagnostics) == before:
                self._check_function(function, tables, (*at, "table"))
            found[name] = function
        return found

    def _check_function(self, function: FunctionSettings, tables: Mapping[str, TableSettings], at: Path) -> None:
        table = tables.get(function.table)
        if table is None:
            if function.table not in self._places:
                self.report.add(at, f"there is no table `{function.table}`", did_you_mean(function.table, tables))
        elif table.reference or len(table.shard_by) != 1:
            hint = "name a table that is sharded by one column"
            self.report.add(at, f"`{function.table}` has no key of one column", hint)
