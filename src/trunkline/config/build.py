"""From what a source says (nested dictionaries of raw values) to a checked Config, with every error reported.

All sources come through here, so that a setting means the same in a file, a URL and the environment. Values are TOML
values, or ``Text`` where the source has no types. Paths are relative to ``base``, those in ``Text`` to the working
directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path as FilePath
from typing import Any, TypeVar

from trunkline.config import checks
from trunkline.config.address import BadValue, ServerUrl, parse_url
from trunkline.config.diagnostics import Diagnostic, Path, Report
from trunkline.config.global_settings import MAX_PEER, Settings
from trunkline.config.hba import Hba, load_hba
from trunkline.config.hba_ident import IdentMaps, load_ident
from trunkline.config.ldap_options import LdapOptions, read_ldap_options, split_ldap_options
from trunkline.config.sections import DATABASE_SECTIONS, TOP_SECTIONS, Raw, SectionReader, server_fields
from trunkline.config.settings import RESERVED_DATABASES, Config, DatabaseSettings, PeerSettings, UserSettings
from trunkline.config.sharding_reader import ShardingReader
from trunkline.config.sources import Unreadable, read_text
from trunkline.config.table import specs
from trunkline.config.userlist import parse_userlist

T = TypeVar("T")

LIBPQ_NAMES = {
    "sslmode": "server_tls_sslmode",
    "sslrootcert": "server_tls_ca_file",
    "sslcert": "server_tls_cert_file",
    "sslkey": "server_tls_key_file",
    "connect_timeout": "server_connect_timeout",
}
"""What libpq's URLs call a global setting."""

_OF_RULES = ("auth_type", "auth_hba_file", "auth_ident_file")


def build(raw: Raw, report: Report, *, base: FilePath, source: str, from_ini: bool = False) -> Config:
    """Make a Config, or raise ConfigErrors with everything that is wrong."""
    config = _Builder(report, SectionReader(report, base), from_ini).config(raw, source)
    checks.check(config, report)
    report.raise_errors()
    return replace(config, warnings=tuple(report.warnings))


@dataclass(slots=True)
class _Builder:
    report: Report
    sections: SectionReader
    from_ini: bool

    def config(self, raw: Raw, source: str) -> Config:
        top = {key: value for key, value in raw.items() if key not in TOP_SECTIONS}
        settings = Settings(**self.sections.read(Settings, top, ()))
        databases = {name: self._database(name, table) for name, table in self.sections.tables(raw, "databases")}
        users = {name: self._user(name, table) for name, table in self.sections.tables(raw, "users")}
        peers = [self._peer(name, table) for name, table in self.sections.tables(raw, "peers")]
        secrets = self._secrets(settings)
        secrets.update({user.name: user.password for user in users.values() if user.password is not None})
        self._check_names_of_shards(databases)
        hba, ldap = self.hba(settings), self.ldap(settings)
        return Config(
            settings,
            databases,
            users,
            secrets,
            source,
            hba=hba,
            ldap=ldap,
            from_ini=self.from_ini,
            peers={peer.number: peer for peer in peers},
        )

    def _database(self, name: str, raw: Raw) -> DatabaseSettings:
        path: Path = ("databases", name)
        if name in RESERVED_DATABASES:
            self.report.add(path, f"`{name}` is the console's own name", "choose another name", part="key")
        self._check_name(path, name)
        values = self.sections.read(
            DatabaseSettings, {k: v for k, v in raw.items() if k not in DATABASE_SECTIONS}, path
        )
        if "primary" in raw:
            values = self._primary(raw, path) | values
        return ShardingReader(self.report, self.sections, path, raw).apply(DatabaseSettings(name, **values))

    def _user(self, name: str, raw: Raw) -> UserSettings:
        self._check_name(("users", name), name)
        return UserSettings(name, **self.sections.read(UserSettings, raw, ("users", name)))

    def _peer(self, name: str, raw: Raw) -> PeerSettings:
        path: Path = ("peers", name)
        peer = PeerSettings(int(name) if name.isdecimal() else 0, **self.sections.read(PeerSettings, raw, path))
        if not 0 < peer.number <= MAX_PEER:
            self.report.add(path, f"`{name}` is no number of a peer", f"from 1 to {MAX_PEER}", part="key")
        if not peer.host and not self.report.is_refused("peers", name, "host"):
            self.report.add(path, f"peer `{name}` has no host", 'add host = "..."', part="key")
        return peer

    def _check_name(self, path: Path, name: str) -> None:
        if not name or "\0" in name:
            self.report.add(path, "an empty name" if not name else "a zero byte in a name", part="key")

    def _check_names_of_shards(self, databases: Mapping[str, DatabaseSettings]) -> None:
        sharded = [database for database in databases.values() if not database.shard_by]
        taken = {shard.name: database.name for database in sharded for shard in database.shards}
        for name in taken.keys() & databases.keys():
            message = f"`{name}` is the name of a shard of `{taken[name]}`"
            self.report.add(("databases", name), message, "choose another name", part="key")

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
        # PgBouncer takes the last, and says nothing.
        (self.report.warnings if self.from_ini else self.report.diagnostics).extend(users.repeated)
        return users.secrets

    def hba(self, settings: Settings) -> Hba:
        """What auth_hba_file and auth_ident_file say, if anybody goes by them."""
        if settings.auth_type != "hba":
            return Hba()
        maps = self._file("auth_ident_file", settings.auth_ident_file, load_ident) or IdentMaps()
        return self._file("auth_hba_file", settings.auth_hba_file, partial(load_hba, maps=maps)) or Hba()

    def ldap(self, settings: Settings) -> LdapOptions | None:
        """What auth_ldap_options says, if anybody goes by it."""
        if settings.auth_type != "ldap":
            return None
        try:
            return read_ldap_options(split_ldap_options(settings.auth_ldap_options))
        except BadValue as error:
            self.report.add(("auth_ldap_options",), f"`auth_ldap_options`: {error.message}", error.hint)
            return None

    def _file(self, key: str, path: str, load: Callable[[FilePath], tuple[T, list[Diagnostic]]]) -> T | None:
        if not path:
            return None
        try:
            found, diagnostics = load(FilePath(path))
        except Unreadable as error:
            self.report.add((key,), f"{path} {error.diagnostic.message}", error.diagnostic.hint)
            return None
        # PgBouncer passes over a line that it does not understand.
        (self.report.warnings if self.from_ini else self.report.diagnostics).extend(diagnostics)
        return found


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


def with_settings(config: Config, raw: Raw, report: Report) -> Config:
    """The config with some global settings replaced, checked again as a whole."""
    builder = _Builder(report, SectionReader(report, FilePath()), config.from_ini)
    settings = replace(config.settings, **builder.sections.read(Settings, raw, ()))
    secrets = dict(config.secrets)
    if settings.auth_file != config.settings.auth_file:
        secrets = builder._secrets(settings)
        secrets.update({user.name: user.password for user in config.users.values() if user.password is not None})
    ruled = all(getattr(settings, name) == getattr(config.settings, name) for name in _OF_RULES)
    hba = config.hba if ruled else builder.hba(settings)
    changed = replace(config, settings=settings, secrets=secrets, hba=hba, ldap=builder.ldap(settings))
    checks.check(changed, report)
    report.raise_errors()
    return changed
