"""From what a source says (nested dictionaries of raw values) to a checked Config, with every error reported.

All sources come through here, so that a setting means the same in a file, a URL and the environment. Values are TOML
values, or ``Text`` where the source has no types. Paths are relative to ``base``, those in ``Text`` to the working
directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from trunkline.config import checks
from trunkline.config.address import BadValue, ServerUrl, parse_url
from trunkline.config.diagnostics import Path, Report, did_you_mean
from trunkline.config.settings import (
    RESERVED_DATABASES,
    Config,
    DatabaseSettings,
    Settings,
    UserSettings,
)
from trunkline.config.sources import Text, Unreadable, read_text
from trunkline.config.table import Spec, specs
from trunkline.config.userlist import parse_userlist

Raw = Mapping[str, object]

_SECTIONS = ("databases", "users")
# Words of PgBouncer and of later versions: told apart from mistakes.
_LATER = {
    Settings: frozenset(
        "workers metrics_addr peers peer_id auth_query auth_user auth_dbname auth_hba_file auth_ident_file "  # noqa: SIM905
        "auth_ldap_options logfile pidfile syslog syslog_ident syslog_facility user conffile autodb_idle_timeout "
        "pool_idle_timeout login_notify_message suspend_timeout dns_max_ttl dns_nxdomain_ttl dns_zone_check_period "
        "resolv_conf pkt_buf sbuf_loopcnt disable_pqexec client_tls_ecdhcurve client_tls_dheparams".split()
    ),
    DatabaseSettings: frozenset(
        "shards tables buckets home reads read_after_write auth_query auth_user auth_dbname".split()  # noqa: SIM905
    ),
    UserSettings: frozenset[str](),
}
LIBPQ_NAMES = {
    "sslmode": "server_tls_sslmode",
    "sslrootcert": "server_tls_ca_file",
    "sslcert": "server_tls_cert_file",
    "sslkey": "server_tls_key_file",
    "connect_timeout": "server_connect_timeout",
}
"""What libpq's URLs call a global setting."""

_ALIASES = {"reserve_pool": "reserve_pool_size"}


def build(raw: Raw, report: Report, *, base: FilePath, source: str) -> Config:
    """Make a Config, or raise ConfigErrors with everything that is wrong."""
    config = _Builder(report, base).config(raw, source)
    checks.check(config, report)
    report.raise_errors()
    return config


@dataclass(slots=True)
class _Builder:
    report: Report
    base: FilePath

    def config(self, raw: Raw, source: str) -> Config:
        top = {key: value for key, value in raw.items() if key not in _SECTIONS}
        settings = Settings(**self._section(Settings, top, ()))
        databases = {name: self._database(name, table) for name, table in self._tables(raw, "databases")}
        users = {name: self._user(name, table) for name, table in self._tables(raw, "users")}
        secrets = self._secrets(settings)
        secrets.update({user.name: user.password for user in users.values() if user.password is not None})
        return Config(settings, databases, users, secrets, source)

    def _tables(self, raw: Raw, section: str) -> list[tuple[str, Raw]]:
        tables = raw.get(section, {})
        if not isinstance(tables, dict):
            self.report.add((section,), f"must be a table, written [{section}.NAME]")
            return []
        found: list[tuple[str, Raw]] = []
        for name, table in tables.items():
            if isinstance(table, dict):
                found.append((name, table))
            else:
                self.report.add((section, name), f"must be a table, written [{section}.{name}]")
        return found

    def _database(self, name: str, raw: Raw) -> DatabaseSettings:
        path: Path = ("databases", name)
        if name in RESERVED_DATABASES:
            self.report.add(path, f"`{name}` is the console's own name", "choose another name", part="key")
        self._check_name(path, name)
        values = self._section(DatabaseSettings, {k: v for k, v in raw.items() if k != "primary"}, path)
        if "primary" in raw:
            values = self._primary(raw, path) | values
        return DatabaseSettings(name, **values)

    def _user(self, name: str, raw: Raw) -> UserSettings:
        self._check_name(("users", name), name)
        return UserSettings(name, **self._section(UserSettings, raw, ("users", name)))

    def _check_name(self, path: Path, name: str) -> None:
        if not name or "\0" in name:
            self.report.add(path, "an empty name" if not name else "a zero byte in a name", part="key")

    def _section(self, table: type, raw: Raw, path: Path) -> dict[str, Any]:
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
                values[field] = self._read(spec, value)
            except BadValue as error:
                self.report.add((*path, key), f"`{key}`: {error.message}", error.hint)
        return values

    def _unknown(self, table: type, key: str, path: Path) -> None:
        if key in _LATER[table]:
            self.report.add((*path, key), f"`{key}` is not supported yet", part="key")
            return
        words = [*specs(table), *(_SECTIONS if not path else ("primary",))]
        hint = _elsewhere(key) or did_you_mean(key, words)
        self.report.add((*path, key), f"unknown setting `{key}`", hint, part="key")
        for word in words:
            if f"`{word}`" in hint:
                self.report.refuse((*path, word))

    def _read(self, spec: Spec, value: object) -> Any:
        is_text = isinstance(value, Text)
        read = spec.kind.from_text if is_text else spec.kind.from_toml
        result = read(value, spec.limits)  # type: ignore[arg-type]
        if spec.kind.is_path:
            return _resolve(result, FilePath() if is_text else self.base)
        return spec.convert(result) if spec.convert else result

    def _primary(self, raw: Raw, path: Path) -> dict[str, Any]:
        """What a ``primary`` URL says, as the fields it stands for."""
        at = (*path, "primary")
        for key in ("host", "port"):
            if key in raw:
                self.report.add((*path, key), f"`{key}` is already in `primary`", "keep one of them", part="key")
        try:
            return server_fields(_parsed(raw["primary"]))
        except BadValue as error:
            offset = error.offset + 1 if isinstance(raw["primary"], str) else 0
            self.report.add(at, error.message, error.hint, offset=offset)
            return {}

    def _secrets(self, settings: Settings) -> dict[str, str]:
        if not settings.auth_file:
            return {}
        try:
            users = parse_userlist(read_text(FilePath(settings.auth_file)), settings.auth_file)
        except Unreadable as error:
            self.report.add(("auth_file",), f"{settings.auth_file} {error.diagnostic.message}", error.diagnostic.hint)
            return {}
        self.report.extend(users.diagnostics)
        return users.secrets


def _parsed(value: object) -> ServerUrl:
    if isinstance(value, ServerUrl):
        return value
    if not isinstance(value, str):
        raise BadValue("`primary` must be a URL in quotes", "write postgres://user:password@host:port/dbname")
    url = parse_url(value)
    if url.parameters:
        word = url.parameters[0]
        raise BadValue(f"`{word.name}` cannot stand in this URL", _of_its_own(word.name), word.name_offset)
    return url


def _of_its_own(name: str) -> str:
    if name in LIBPQ_NAMES:
        return f"set {LIBPQ_NAMES[name]} at the top of the file"
    return f"write {name} as a setting of its own" if name in specs(DatabaseSettings) else "remove it"


def server_fields(url: ServerUrl) -> dict[str, Any]:
    """The fields of DatabaseSettings that a URL fills."""
    hosts, ports = url.hosts or ("localhost",), url.ports or (5432,)
    values: dict[str, Any] = {"hosts": hosts, "port": ports[0], "dbname": url.dbname}
    if len(set(ports)) > 1:
        values["ports"] = ports
    return values | {"user": url.user, "password": url.password}


def _resolve(written: str, base: FilePath) -> str:
    # An abstract socket (@name) is not a path in the file system.
    return str(base / written) if written and not written.startswith("@") else written


def _elsewhere(key: str) -> str:
    """A key that exists, but in another section."""
    sections = {"the top of the file": Settings, "[databases.NAME]": DatabaseSettings, "[users.NAME]": UserSettings}
    places = [place for place, table in sections.items() if key in specs(table)]
    return f"it belongs to {' or '.join(places)}" if places else ""


def with_settings(config: Config, raw: Raw, report: Report) -> Config:
    """The config with some global settings replaced, checked again as a whole."""
    builder = _Builder(report, FilePath())
    settings = replace(config.settings, **builder._section(Settings, raw, ()))
    secrets = dict(config.secrets)
    if settings.auth_file != config.settings.auth_file:
        secrets = builder._secrets(settings)
        secrets.update({user.name: user.password for user in config.users.values() if user.password is not None})
    changed = replace(config, settings=settings, secrets=secrets)
    checks.check(changed, report)
    report.raise_errors()
    return changed
