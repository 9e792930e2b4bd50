"""A server's URL as a whole Config: ``trunkline serve postgres://user:password@host/db`` needs no file.

Rules:
1. The database is served under its own name, and every other name (``*``) from the same server.
2. The URL's user and password are the client's too: who has them logs in at Trunkline as at the server, as that user.
3. Without a password nobody can be told from anybody, so everyone is trusted, but only on loopback.
4. Parameters that are settings become settings; libpq's are translated where there is a counterpart, refused where not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath

from trunkline.config import checks
from trunkline.config.address import BadValue, Parameter, ServerUrl, parse_url
from trunkline.config.build import LIBPQ_NAMES, build
from trunkline.config.diagnostics import ConfigErrors, Part, Path, Place, Report, did_you_mean, redact
from trunkline.config.environment import NO_ENVIRONMENT, Overrides
from trunkline.config.global_settings import Settings
from trunkline.config.settings import WILDCARD, Config, DatabaseSettings
from trunkline.config.sources import Text
from trunkline.config.table import specs

_PER_DATABASE = frozenset(specs(DatabaseSettings)) - {"host", "port", "dbname", "user", "password", "replicas"}


def from_url(url: str, environ: Mapping[str, str] = NO_ENVIRONMENT) -> Config:
    """Read a URL, with ``PGUSER``, ``PGPASSWORD`` and ``TRUNKLINE_*`` of the environment, or raise ConfigErrors."""
    written = _Written(url)
    report = Report(written.shown, written)
    try:
        server = _with_defaults(parse_url(url), environ)
    except BadValue as error:
        report.add_at(written.place_at(error.offset), error.message, error.hint)
        raise ConfigErrors(report.diagnostics) from None
    overrides = Overrides(environ)
    report.sources.insert(0, overrides)
    overrides.check(report)
    written.note(server)
    settings = _settings(server, report, written) | overrides.raw
    raw = _login(server, settings) | {"databases": _databases(server)}
    _check_trust(settings, raw, report)
    return build(raw, report, base=FilePath(), source=written.shown)


class _Written:
    """The URL as a source of diagnostics: one line, its password masked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.shown = redact(url)
        self._offsets: dict[str, Parameter] = {}

    def note(self, server: ServerUrl) -> None:
        self._offsets = {LIBPQ_NAMES.get(p.name, p.name): p for p in server.parameters}

    def place(self, path: Path, part: Part) -> Place | None:
        parameter = self._offsets.get(str(path[-1])) if path else None
        if parameter is None:
            return None
        return self.place_at(parameter.offset if part == "value" else parameter.name_offset)

    def place_at(self, offset: int) -> Place:
        return Place("URL", 1, offset + 1, self.shown)


def _with_defaults(server: ServerUrl, environ: Mapping[str, str]) -> ServerUrl:
    """What libpq would take: the user from the environment, the database named as the user."""
    user = server.user or environ.get("PGUSER") or environ.get("USER") or "postgres"
    password = server.password or environ.get("PGPASSWORD") or None
    return replace(server, user=user, password=password, dbname=server.dbname or user)


def _settings(server: ServerUrl, report: Report, written: _Written) -> dict[str, object]:
    """The parameters that are global settings; unknown ones are reported."""
    known = specs(Settings)
    values: dict[str, object] = {}
    for parameter in server.parameters:
        name = LIBPQ_NAMES.get(parameter.name, parameter.name)
        if name in known:
            values[name] = Text(parameter.value)
        elif name not in _PER_DATABASE:
            hint = did_you_mean(name, [*known, *_PER_DATABASE, *LIBPQ_NAMES]) or "remove it from the URL"
            report.add_at(written.place_at(parameter.name_offset), f"unknown parameter `{name}`", hint)
    return values


def _databases(server: ServerUrl) -> dict[str, object]:
    """The named database and the wildcard; clients log in at the server as themselves, so no user is forced."""
    own = {p.name: Text(p.value) for p in server.parameters if p.name in _PER_DATABASE - set(specs(Settings))}
    target = replace(server, user=None, password=None, parameters=())
    named = {"primary": target, **own}
    return {str(server.dbname): named, WILDCARD: named | {"primary": replace(target, dbname=None)}}


def _login(server: ServerUrl, settings: dict[str, object]) -> dict[str, object]:
    if server.password is None:
        return {"auth_type": "trust"} | settings
    return {"auth_type": "scram-sha-256"} | settings | {"users": {server.user: {"password": server.password}}}


def _check_trust(settings: dict[str, object], raw: dict[str, object], report: Report) -> None:
    listen = str(settings.get("listen_addr", Settings().listen_addr))
    if "auth_type" not in settings and raw["auth_type"] == "trust" and not checks.is_loopback(listen):
        hint = "give the URL a password, or set auth_type to say what is meant"
        report.add(("listen_addr",), "without a password anyone who can connect could log in as anyone", hint)
