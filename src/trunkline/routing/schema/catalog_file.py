"""Catalogs as a file: what the shards said once, kept for whoever plans without asking them. Pure.

The text is JSON: of each database the fields of `catalog` by their names, without those that are as they would be
anyway. A file of another form is refused whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from trunkline.errors import ConfigError
from trunkline.routing.schema.catalog import Catalog, Column, ForeignKey, Function, Index, Name, Relation, Trigger

FORM = "trunkline catalog 1"
_ROWS = (("columns", Column), ("foreign_keys", ForeignKey), ("indexes", Index), ("triggers", Trigger))


def to_text(catalogs: Mapping[str, Catalog]) -> str:
    """Of several databases, by their names."""
    databases = {
        name: {
            "server": dict(catalog.server),
            "relations": [_plain(relation) for relation in catalog.relations.values()],
            "functions": [_plain(one) for group in catalog.functions.values() for one in group],
        }
        for name, catalog in catalogs.items()
    }
    return json.dumps({"form": FORM, "databases": databases}, ensure_ascii=False, separators=(",", ":")) + "\n"


def from_text(text: str) -> dict[str, Catalog]:
    """The other way; ConfigError if it is no such file."""
    try:
        said = json.loads(text)
        if said["form"] != FORM:
            raise ValueError(f"its form is {said['form']!r}")
        return {name: _catalog(database) for name, database in said["databases"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        hint = "write one with: trunkline check --online --write-catalog FILE"
        raise ConfigError("this is no file of catalogs", detail=str(problem), hint=hint) from problem


def _plain(row: Any) -> dict[str, Any]:
    found = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if field.default is MISSING or value != field.default:
            found[field.name] = [_plain(one) for one in value] if _has_rows(value) else value
    return found


def _has_rows(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], (Column, ForeignKey, Index, Trigger))


def _catalog(said: Mapping[str, Any]) -> Catalog:
    relations = [_relation(one) for one in said["relations"]]
    functions: dict[Name, tuple[Function, ...]] = {}
    for one in said["functions"]:
        function = Function(**{key: _frozen(value) for key, value in one.items()})
        key = (function.schema, function.name)
        functions[key] = (*functions.get(key, ()), function)
    return Catalog({(one.schema, one.name): one for one in relations}, functions, server=said["server"])


def _relation(said: Mapping[str, Any]) -> Relation:
    read = {key: _frozen(value) for key, value in said.items()}
    for key, kind in _ROWS:
        if key in said:
            read[key] = tuple(kind(**{name: _frozen(value) for name, value in one.items()}) for one in said[key])
    return Relation(**read)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
