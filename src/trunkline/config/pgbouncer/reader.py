"""A pgbouncer.ini as a Config: every error at once, each at its place, and a warning for all that has no meaning here.

``grammar`` finds the entries, this turns them into what ``build`` reads, and ``build`` says what they mean: a setting
of ours may stand in the file too. Where PgBouncer's default differs from ours, PgBouncer's holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from trunkline.config.address import BadValue
from trunkline.config.build import build
from trunkline.config.diagnostics import ConfigErrors, Part, Path, Place, Report
from trunkline.config.environment import NO_ENVIRONMENT, Overrides
from trunkline.config.global_settings import Settings
from trunkline.config.pgbouncer import connection_string, inventory, numbers
from trunkline.config.pgbouncer.grammar import Entry, Header, Reading
from trunkline.config.pgbouncer.inventory import DEFAULTS, IGNORED
from trunkline.config.pgbouncer.values import lost_protocols, read_value
from trunkline.config.settings import Config
from trunkline.config.sources import Text, Unreadable, read_text
from trunkline.config.table import specs

MAIN = "pgbouncer"
RENAMED = {"reserve_pool": "reserve_pool_size"}
"""What connection strings call otherwise."""
_SIZES = ("pool_size", "min_pool_size", "reserve_pool_size", "max_db_connections", "max_db_client_connections",
          "max_user_connections", "max_user_client_connections")  # fmt: skip
_TIMES = ("server_lifetime", "query_wait_timeout", "query_timeout", "idle_transaction_timeout",
          "transaction_timeout", "client_idle_timeout")  # fmt: skip


def load(path: str | FilePath, environ: Mapping[str, str] = NO_ENVIRONMENT) -> Config:
    """Read a file, with ``TRUNKLINE_*`` of the environment over it, or raise ConfigErrors."""
    return read(path, environ)[1]


def read(path: str | FilePath, environ: Mapping[str, str] = NO_ENVIRONMENT) -> tuple[Document, Config]:
    """A file as its entries, and as what they mean; or ConfigErrors."""
    file = FilePath(path)
    try:
        text = read_text(file)
    except Unreadable as error:
        raise ConfigErrors([error.diagnostic]) from None
    overrides = Overrides(environ)
    document = Document(text, str(file), overrides)
    overrides.check(document.report)
    raw = document.raw() | overrides.raw
    return document, build(raw, document.report, base=FilePath(), source=str(file), from_ini=True)


class Document:
    """One file as what ``build`` reads, and as the source that says where each setting stands."""

    def __init__(self, text: str, file: str, *sources: Any) -> None:
        self.report = Report(file, *sources, self)
        self.settings: dict[str, Entry] = {}
        self.tables: dict[str, dict[str, Entry]] = {"databases": {}, "users": {}, "peers": {}}
        self.passed_over: list[tuple[str, str]] = []
        """Settings without an effect here, with the reasons."""
        self.renamed: list[tuple[str, str, str]] = []
        """Of the pairs: section, name, and the key that is called otherwise here."""
        self._inside: dict[Path, tuple[Place, Place]] = {}
        self._read(text, file)

    def place(self, path: Path, part: Part) -> Place | None:
        if path in self._inside:
            return self._inside[path][part == "value"]
        entry = None
        if len(path) == 1:
            entry = self.settings.get(str(path[0]))
        elif len(path) == 2:
            entry = self.tables.get(str(path[0]), {}).get(str(path[1]))
        if entry is None:
            return None
        return entry.value_place if part == "value" else entry.key_place

    # --- from the grammar to entries ----------------------------------------------------------------------------

    def _read(self, text: str, file: str) -> None:
        reading, section = Reading(), ""
        headers = set()
        for item in reading.items(text, file):
            if isinstance(item, Header):
                section = item.name
                headers.add(section)
                self._begin(item)
            elif not section:
                message = f"`{item.key}` stands before any section"
                self.report.add_at(item.key_place, message, "write [pgbouncer] above it")
            elif section == MAIN:
                self.settings[item.key] = item
            elif section in self.tables:
                self.tables[section][item.key] = item
        self.report.extend(reading.diagnostics)
        if MAIN not in headers and not self.report.diagnostics:
            self.report.add((), "there is no section [pgbouncer]")

    def _begin(self, header: Header) -> None:
        if header.name == MAIN:
            kept = inventory.KEPT_BY_A_SECOND_HEADER
            self.settings = {key: entry for key, entry in self.settings.items() if key in kept}
        elif header.name not in self.tables:
            sections = ", ".join(f"[{name}]" for name in (*self.tables, MAIN))
            self.report.add_at(header.place, f"unknown section `{header.name}`", f"there are {sections}")

    # --- from entries to what `build` reads ---------------------------------------------------------------------

    def raw(self) -> dict[str, Any]:
        """The whole file as nested dictionaries, what has no meaning here left out with a warning."""
        known = specs(Settings)
        values = {key: Text(DEFAULTS[key]) for key in DEFAULTS.keys() & known.keys() - inventory.OURS_HOLD}
        for key, entry in self.settings.items():
            text = self._checked(key, entry.value)
            if text is None:
                values.pop(key, None)
            elif key in known or key not in DEFAULTS:
                values[key] = text
            else:
                self._without_a_setting(key, text)
        databases = {name: self._database(name, entry, values) for name, entry in self.tables["databases"].items()}
        users = {name: self._pairs(("users", name), entry) for name, entry in self.tables["users"].items()}
        peers = {number: self._pairs(("peers", number), entry) for number, entry in self.tables["peers"].items()}
        return {**values, "databases": databases, "users": users, "peers": peers}

    def _checked(self, key: str, text: str) -> Text | None:
        try:
            value = read_value(key, text)
        except BadValue as error:
            self.report.add((key,), f"`{key}`: {error.message}", error.hint)
            return None
        if lost := lost_protocols(key, text):
            self.report.warn((key,), f"{lost} is not spoken: PostgreSQL's drivers have had better for years")
        return Text(value)

    def _without_a_setting(self, key: str, text: str) -> None:
        if text in ("", DEFAULTS[key]):
            return
        self.passed_over.append((key, IGNORED[key]))
        self.report.warn((key,), f"`{key}` has no effect: {IGNORED[key]}", part="key")

    def _database(self, name: str, entry: Entry, settings: Mapping[str, str]) -> dict[str, Text]:
        path: Path = ("databases", name)
        values = self._pairs(path, entry)
        if "host" not in values and "primary" not in values:
            if not settings.get("unix_socket_dir"):
                hint = "add host= here, or unix_socket_dir, where its socket is looked for without a host"
                self.report.add(path, f"database `{name}` has no server", hint, part="key")
                self.report.refuse((*path, "host"))
            else:
                values["host"] = Text(settings["unix_socket_dir"])
        if "password" in values and "user" not in values:
            self.report.warn((*path, "password"), "a password without a user has no effect", part="key")
            del values["password"]
        return values

    def _pairs(self, path: Path, entry: Entry) -> dict[str, Text]:
        """The pairs of one database, user or peer; ``""`` for a name that is no name is refused by ``build``."""
        values: dict[str, Text] = {}
        place = entry.value_place
        try:
            for pair in connection_string.pairs(entry.value):
                at = (_moved(place, pair.key_offset), _moved(place, pair.value_offset))
                name = RENAMED.get(pair.key, pair.key)
                if name != pair.key:
                    self.renamed.append((str(path[0]), str(path[1]), pair.key))
                self._inside[(*path, name)] = at
                text = self._inherited_or(name, pair.value, (*path, name))
                values.pop(name, None)
                if text is not None:
                    values[name] = text
        except BadValue as error:
            self.report.add(path, error.message, error.hint, offset=error.offset)
            self.report.refuse((*path, "host"))
        return values

    def _inherited_or(self, key: str, value: str, path: Path) -> Text | None:
        """The value as our kinds read it, or None where PgBouncer takes the global one."""
        if key == "pool_mode" or key == "load_balance_hosts":
            return Text(value.lower())
        if key not in (*_SIZES, *_TIMES, "port"):
            return Text(value)
        number, complete = numbers.leading(value)
        if not complete:
            self.report.warn(path, f"`{key}` is {number}: only the number at the beginning of a value counts")
        return None if number < 0 and key != "port" else Text(str(number))


def _moved(place: Place, columns: int) -> Place:
    return Place(place.file, place.line, place.column + columns, place.source_line)
