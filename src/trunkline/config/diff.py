"""What a reload changes, one line a change, derived from the settings tables.

Contract: the value of a secret is in no ``Change``; of a secret it says only that it came, went or changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.config.global_settings import Settings
from trunkline.config.hba import Hba
from trunkline.config.settings import Config, DatabaseSettings, PeerSettings, UserSettings
from trunkline.config.table import Spec, specs


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; ``key`` is empty where a whole database, user or secret came or went. None is "not there"."""

    scope: str
    name: str
    key: str
    old: str | None
    new: str | None
    reloadable: bool = True

    def __str__(self) -> str:
        subject = " ".join(filter(None, (self.scope if self.name else "", self.name, self.key)))
        return f"{subject}: {self._what()}" + ("" if self.reloadable else " (needs a restart)")

    def _what(self) -> str:
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        return "changed" if self.old == self.new else f"{self.old or '(none)'} -> {self.new or '(none)'}"


def diff(old: Config, new: Config) -> list[Change]:
    """Every difference, in the order of the tables: settings, databases, users, peers, secrets."""
    return [
        *_rows(Settings, "settings", "", old.settings, new.settings),
        *_rules(old.hba, new.hba),
        *_tables(DatabaseSettings, "database", old.databases, new.databases),
        *_tables(UserSettings, "user", old.users, new.users),
        *_tables(PeerSettings, "peer", _by_text(old.peers), _by_text(new.peers)),
        *_secrets(old.secrets, new.secrets),
    ]


def _rows(table: type, scope: str, name: str, old: Any, new: Any) -> Iterator[Change]:
    for key, (field, spec) in specs(table).items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield Change(scope, name, key, _shown(spec, before), _shown(spec, after), spec.reloadable)
    # Not a setting of its own: the ports of a URL whose hosts have different ones.
    before, after = getattr(old, "ports", ()), getattr(new, "ports", ())
    if before != after:
        yield Change(scope, name, "ports", _numbers(before), _numbers(after))


def _rules(old: Hba, new: Hba) -> Iterator[Change]:
    if old != new:
        yield Change("settings", "", "rules of auth_hba_file", str(len(old.rules)), str(len(new.rules)))


def _shards(scope: str, name: str, old: DatabaseSettings, new: DatabaseSettings) -> Iterator[Change]:
    """What is different of a database's shards, tables and schemas, and which buckets have moved."""
    before, after = _described(old), _described(new)
    for key in before | after:
        (was, shown), (now, shown_now) = before.get(key, (None, None)), after.get(key, (None, None))
        if was != now:
            yield Change(scope, name, key, shown, shown_now)


def _described(database: DatabaseSettings) -> dict[str, tuple[Any, str | None]]:
    rows = database.sharding.rows() if database.sharding is not None else ()
    return {key: (value, shown) for key, value, shown in rows}


def _shown(spec: Spec, value: Any) -> str:
    return "" if spec.kind.is_secret else spec.show(value)


def _numbers(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


def _tables(table: type, scope: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    yield from _presence(scope, old, new)
    for name in new:
        if name in old and old[name] != new[name]:
            yield from _rows(table, scope, name, old[name], new[name])
            if table is DatabaseSettings:
                yield from _shards(scope, name, old[name], new[name])


def _by_text(peers: Mapping[int, PeerSettings]) -> dict[str, PeerSettings]:
    return {str(number): peer for number, peer in peers.items()}


def _presence(scope: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """What came and what went."""
    for name in old:
        if name not in new:
            yield Change(scope, name, "", "", None)
    for name in new:
        if name not in old:
            yield Change(scope, name, "", None, "")


def _secrets(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    yield from _presence("secret of", old, new)
    for name in new:
        if name in old and old[name] != new[name]:
            yield Change("secret of", name, "", "", "")
