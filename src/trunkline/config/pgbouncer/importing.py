"""The same configuration written as TOML: a table of what became of each setting, as comments, and then the settings.

Contract: what is written loads, and means what the file means (``imported`` tries it, and refuses what would not). The
userlist is referred to, never copied; a password of a connection string is written, as it was.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from trunkline.config.build import build
from trunkline.config.diagnostics import ConfigErrors, Report
from trunkline.config.global_settings import Settings
from trunkline.config.kinds import MODE
from trunkline.config.pgbouncer.reader import RENAMED, Document, read
from trunkline.config.settings import Config, DatabaseSettings, PeerSettings, UserSettings
from trunkline.config.table import Spec, defaults, specs
from trunkline.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def imported(file: str) -> str:
    """The TOML, or ConfigErrors with what is wrong with the file, or what PgBouncer starts with and we would not."""
    document, config = read(file)
    config = replace(config, settings=_absolute(config.settings))
    text = "\n".join([*_table(document, file), "", *_settings(document, config), *_sections(config)]) + "\n"
    again = _loaded(text, file, config)
    if again != config:  # pragma: no cover (a bug of ours, and no reason to write something else)
        raise ConfigError(f"{file} cannot be written as TOML")
    return text


def _absolute(settings: Settings) -> Settings:
    """Paths that mean the same wherever the TOML file will be."""
    named = {field: getattr(settings, field) for field, spec in specs(Settings).values() if spec.kind.is_path}
    whole = {field: os.path.abspath(p) for field, p in named.items() if p and not p.startswith("@")}
    return replace(settings, **whole)


def _loaded(text: str, file: str, config: Config) -> Config:
    report = Report(file)
    try:
        return build(tomllib.loads(text), report, base=FilePath(), source=config.source)
    except ConfigErrors as error:
        wrong = [replace(one, hint=one.hint or "PgBouncer starts so; TOML does not") for one in error.diagnostics]
        raise ConfigErrors(wrong) from None


# --- the table --------------------------------------------------------------------------------------------------


def _table(document: Document, file: str) -> Iterator[str]:
    yield f"# Made of {_one_line(file)} by `trunkline import-pgbouncer`."
    yield "#"
    rows = [("setting", "its value", "what became of it"), *_fates(document)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, value, fate in rows:
        yield f"#   {name:{widths[0]}}  {value:{widths[1]}}  {fate}".rstrip()


def _fates(document: Document) -> Iterator[tuple[str, str, str]]:
    reasons = dict(document.passed_over)
    for key, entry in document.settings.items():
        shown = _one_line(entry.value)
        if key in specs(Settings):
            yield key, shown, "kept"
        else:
            yield key, shown, f"ignored: {reasons[key]}" if key in reasons else "ignored: it is PgBouncer's default"
    for section, name, key in document.renamed:
        yield f"{key} of {_one_line(name)}", "", f"renamed: {RENAMED[key]} in [{section}]"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


# --- the settings -----------------------------------------------------------------------------------------------


def _settings(document: Document, config: Config) -> Iterator[str]:
    for key, (field, spec) in specs(Settings).items():
        value = getattr(config.settings, field)
        if key in document.settings:
            yield f"{key} = {_value(spec, value)}"
        elif value != defaults(Settings)[field]:
            yield f"{key} = {_value(spec, value)}  # PgBouncer's default"


def _sections(config: Config) -> Iterator[str]:
    for database in config.databases.values():
        yield from _section("databases", DatabaseSettings, database.name, database)
    for user in config.users.values():
        yield from _section("users", UserSettings, user.name, user)
    for peer in config.peers.values():
        yield from _section("peers", PeerSettings, str(peer.number), peer)


def _section(section: str, table: type, name: str, settings: Any) -> Iterator[str]:
    yield ""
    yield f"[{section}.{name if _BARE_KEY.fullmatch(name) else _string(name)}]"
    for key, (field, spec) in specs(table).items():
        value = getattr(settings, field)
        if value != defaults(table)[field]:
            yield f"{key} = {_value(spec, value)}"


def _value(spec: Spec, value: Any) -> str:
    """As our kinds read it from TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if spec.kind is MODE:
        return f'"{value:04o}"'
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_string(str(item)) for item in value)}]"
    return _string(value if isinstance(value, str) else spec.show(value))


def _string(text: str) -> str:
    # JSON's escapes are TOML's, which wants one for DEL too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
