"""How a row of the settings table is declared and read: a dataclass field with a ``Spec`` in its metadata.

The tables are the dataclasses in ``settings``; this is only their grammar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from trunkline.config.kinds import BYTES, INT_MAX, MILLISECONDS, SECONDS, Kind, Limits


@dataclass(frozen=True, slots=True)
class Spec:
    """What the table says about one setting, beside its name and default."""

    kind: Kind
    doc: str
    unit: str
    reloadable: bool
    limits: Limits
    convert: type | None
    """Applied to what the kind read, for settings with a type of their own."""
    key: str | None
    """The name operators write, if it is not the field's."""

    def show(self, value: Any) -> str:
        """PgBouncer's textual form: 0/1, plain numbers, comma lists; a secret is never shown."""
        return "" if value is None else self.kind.show(value)


_UNITS: dict[int, str] = {id(SECONDS): "s", id(MILLISECONDS): "ms", id(BYTES): "bytes"}


def setting(
    default: Any,
    kind: Kind,
    doc: str,
    *,
    unit: str = "",
    reloadable: bool = True,
    low: float = 0,
    high: float = INT_MAX,
    choices: tuple[str, ...] = (),
    convert: type | None = None,
    key: str | None = None,
) -> Any:
    """One row of the table, as a dataclass field."""
    limits = Limits(low, high, choices)
    spec = Spec(kind, doc, unit or _UNITS.get(id(kind), ""), reloadable, limits, convert, key)
    return field(default=default, repr=not kind.is_secret, metadata={"spec": spec})


_read: dict[type, Mapping[str, tuple[str, Spec]]] = {}


def specs(table: type) -> Mapping[str, tuple[str, Spec]]:
    """What operators write -> (field name, spec), in the table's order."""
    if table not in _read:
        found = {spec_of(f).key or f.name: (f.name, spec_of(f)) for f in _rows(table)}
        _read[table] = MappingProxyType(found)
    return _read[table]


def defaults(table: type) -> dict[str, Any]:
    """Field name -> default, of the settings of a table."""
    return {f.name: f.default for f in _rows(table)}


def spec_of(row: Field[Any]) -> Spec:
    spec: Spec = row.metadata["spec"]
    return spec


def _rows(table: type) -> list[Field[Any]]:
    return [f for f in fields(table) if "spec" in f.metadata]


def show_rows(settings: Any) -> list[tuple[str, str, str, str]]:
    """SHOW CONFIG: (key, value, default, changeable) in PgBouncer's textual forms, sorted by key."""
    rows = []
    for key, (name, spec) in specs(type(settings)).items():
        default = spec.show(defaults(type(settings))[name])
        rows.append((key, spec.show(getattr(settings, name)), default, "yes" if spec.reloadable else "no"))
    return sorted(rows)
