"""SHOW DIRECTORIES: the tables that keys are looked up in, how much is known of each, and how old that is."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.proxy.instance import Instance


@show("DIRECTORIES", columns.DIRECTORIES)
def show_directories(instance: Instance) -> Iterator[Row]:
    """Of databases that somebody has used."""
    for database in instance.config.databases.values():
        watch = instance.routers.watch_of(database.name) if database.sharding is not None else None
        if watch is None or not watch.known:
            continue
        found = watch.built.directories
        for table in dict.fromkeys(found.values()):
            readings, age_s = watch.directories.readings_of(table)
            yield (
                database.name,
                table.lookup.table,
                ", ".join(name for name, one in found.items() if one is table),
                len(table.directory),
                table.directory.absent,
                readings,
                int(age_s),
                watch.directories.pid,
            )
