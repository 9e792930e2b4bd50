"""`trunkline route`: recorded statements planned without a client, by a catalog from a file or from the shards.

Nothing is sent to a server but the questions for the catalog, and those only where no file has it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.config.settings import Config, DatabaseSettings
from trunkline.config.sharding import ShardingSettings
from trunkline.errors import ConfigError, ServerUnavailable
from trunkline.execution.report import Judge, Judged, Summary
from trunkline.pool.online_check import _read as read_shard
from trunkline.routing.keys.sharding_builder import build
from trunkline.routing.schema import catalog_file
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.text.records import Form, recognise, records

STDIN = "-"


@dataclass(slots=True)
class Offline:
    """Inputs against one database; `problems` are what `check --online` would say of its rules."""

    judge: Judge
    problems: tuple[str, ...]
    summary: Summary

    def judged(self, inputs: Sequence[str], form: Form | None) -> Iterator[tuple[str, Judged]]:
        """Each statement behind the name of its input; the summary grows with them."""
        for name in inputs or (STDIN,):
            text = _read(name)
            for record in records(text, form or recognise(text)):
                found = self.judge.judge(record)
                self.summary.add(found)
                yield name, found


def open_database(
    config: Config, environ: Mapping[str, str], database: str | None, catalog: Path | None, search_path: Iterable[str]
) -> Offline:
    """A database of the configuration, by name unless it is the only one with sharded tables."""
    settings, sharding = _choose(config, database)
    if catalog is None:
        known = asyncio.run(read_catalogs(config, environ, [settings.name]))
    else:
        known = catalog_file.from_text(_read(str(catalog)))
    if settings.name not in known:
        raise ConfigError(f"{catalog} has no catalog of {settings.name}")
    built = build(sharding, known[settings.name])
    return Offline(Judge(known[settings.name], built.sharding, tuple(search_path)), built.problems, Summary())


async def read_catalogs(
    config: Config, environ: Mapping[str, str], databases: Iterable[str] | None = None
) -> dict[str, Catalog]:
    """Of databases with sharded tables, from their home shards; ServerUnavailable if one of these says nothing."""
    found = {}
    for name in _sharded(config) if databases is None else databases:
        settings, sharding = _choose(config, name)
        home = settings.shards[sharding.shard_names().index(sharding.home)]
        (result,) = await asyncio.gather(read_shard(config, environ, home), return_exceptions=True)
        if isinstance(result, Exception):
            hint = "Without it, give its catalog: --catalog FILE, as check --online --write-catalog FILE writes it."
            raise ServerUnavailable(f"{home.name} cannot be read: {result or 'timed out'}", hint=hint) from result
        if isinstance(result, BaseException):
            raise result
        found[name] = result
    return found


def _sharded(config: Config) -> list[str]:
    return [one.name for one in config.databases.values() if one.sharding is not None and not one.shard_by]


def _choose(config: Config, database: str | None) -> tuple[DatabaseSettings, ShardingSettings]:
    names = _sharded(config)
    if database is None and len(names) == 1:
        database = names[0]
    if database not in names:
        there = f"there are {', '.join(names)}" if names else "there is none"
        raise ConfigError(
            f'"{database}" is no database with sharded tables' if database else "which database is not said",
            hint=f"Name one with --database; {there}.",
        )
    settings = config.databases[database]
    assert settings.sharding is not None
    return settings, settings.sharding


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as problem:
        raise ConfigError(f"{name} cannot be read: {problem.strerror}") from None
    return data.decode(errors="surrogateescape")
