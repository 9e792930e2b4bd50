"""One section of a configuration: raw keys and values to the fields of a settings table, every mistake reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from trunkline.config.address import BadValue, ServerUrl
from trunkline.config.diagnostics import Path, Report, did_you_mean
from trunkline.config.global_settings import Settings
from trunkline.config.settings import DatabaseSettings, PeerSettings, UserSettings
from trunkline.config.sources import Text
from trunkline.config.table import Spec, specs

Raw = Mapping[str, object]

TOP_SECTIONS = ("databases", "users", "peers")
DATABASE_SECTIONS = ("primary", "shards", "tables", "schemas", "functions", "names")
"""What a database has beside the settings of its table."""

_BESIDE: Mapping[type, tuple[str, ...]] = {Settings: TOP_SECTIONS, DatabaseSettings: DATABASE_SECTIONS}
# Words of PgBouncer and of later versions: told apart from mistakes.
_LATER: Mapping[type, frozenset[str]] = {
    Settings: frozenset(
        "conffile autodb_idle_timeout "  # noqa: SIM905
        "pool_idle_timeout dns_nxdomain_ttl dns_zone_check_period "
        "resolv_conf pkt_buf sbuf_loopcnt client_tls_ecdhcurve client_tls_dheparams".split()
    ),
}
_ALIASES = {"reserve_pool": "reserve_pool_size"}


@dataclass(slots=True)
class SectionReader:
    """Reads sections; relative paths are relative to ``base``."""

    report: Report
    base: FilePath

    def read(self, table: type, raw: Raw, path: Path) -> dict[str, Any]:
        """Field name -> value, of all keys that are known and right."""
        values = {}
        known = specs(table)
        for key, value in raw.items():
            name = _ALIASES.get(key, key)
            if name not in known:
                self._unknown(table, key, path)
                continue
            field, spec = known[name]
            try:
                values[field] = self._value(spec, value)
            except BadValue as error:
                at, quote = (*path, key, *error.inside), 1 if error.offset else 0
                self.report.add(at, f"`{key}`: {error.message}", error.hint, offset=error.offset + quote)
                self.report.refuse((*path, key))
        return values

    def tables(self, raw: Raw, section: str, path: Path = ()) -> list[tuple[str, Raw]]:
        """The tables in a section by their names."""
        tables = raw.get(section, {})
        written = ".".join(map(str, (*path, section)))
        if not isinstance(tables, dict):
            self.report.add((*path, section), f"must be a table, written [{written}.NAME]")
            return []
        found: list[tuple[str, Raw]] = []
        for name, table in tables.items():
            if isinstance(table, dict):
                found.append((name, table))
            else:
                self.report.add((*path, section, name), f"must be a table, written [{written}.{name}]")
        return found

    def _value(self, spec: Spec, value: object) -> Any:
        is_text = isinstance(value, Text)
        read = spec.kind.from_text if is_text else spec.kind.from_toml
        result = read(str(value) if is_text else value, spec.limits)  # type: ignore[arg-type]
        if spec.kind.is_path:
            return _resolve(result, FilePath() if is_text else self.base)
        return spec.convert(result) if spec.convert else result

    def _unknown(self, table: type, key: str, path: Path) -> None:
        if key in _LATER.get(table, ()):
            self.report.add((*path, key), f"`{key}` is not supported yet", part="key")
            return
        words = [*specs(table), *_BESIDE.get(table, ())]
        hint = _elsewhere(key) or did_you_mean(key, words)
        self.report.add((*path, key), f"unknown setting `{key}`", hint, part="key")
        for word in words:
            if f"`{word}`" in hint:
                self.report.refuse((*path, word))


def _resolve(written: str, base: FilePath) -> str:
    # An abstract socket (@name) is not a path in the file system.
    return str(base / written) if written and not written.startswith("@") else written


def server_fields(url: ServerUrl) -> dict[str, Any]:
    """The fields of DatabaseSettings that a URL fills."""
    hosts, ports = url.hosts or ("localhost",), url.ports or (5432,)
    values: dict[str, Any] = {"hosts": hosts, "port": ports[0], "dbname": url.dbname}
    if len(set(ports)) > 1:
        values["ports"] = ports
    return values | {"user": url.user, "password": url.password}


def _elsewhere(key: str) -> str:
    """A key that exists, but in another section."""
    sections = {
        "the top of the file": Settings,
        "[databases.NAME]": DatabaseSettings,
        "[users.NAME]": UserSettings,
        "[peers.NUMBER]": PeerSettings,
    }
    places = [place for place, table in sections.items() if key in specs(table)]
    return f"it belongs to {' or '.join(places)}" if places else ""
