"""SHOW POOLS, DATABASES, USERS, LISTS: what is configured, and how much of it is in use.

The console counts as a database of its own, as in PgBouncer; it has no servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trunkline.admin import columns
from trunkline.admin.commands import show, show_sum
from trunkline.admin.result import Row
from trunkline.config.settings import WILDCARD, Config, DatabaseSettings
from trunkline.pool.pool import Pool
from trunkline.proxy.instance import Instance

CONSOLE = "pgbouncer"
"""The console's name in these tables; monitors leave it out by this name."""


@show("POOLS", columns.POOLS)
def show_pools(instance: Instance) -> Iterator[Row]:
    now = instance.pools.now
    for pool in sorted(instance.pools, key=lambda pool: (pool.database, pool.user)):
        yield _pool_row(pool, instance.config.database(pool.database), now)
    yield CONSOLE, CONSOLE, len(instance.clients.consoles), *(0,) * 12, "statement", None


def _pool_row(pool: Pool, database: DatabaseSettings | None, now: float) -> Row:
    maxwait_us = int(pool.oldest_wait(now) * 1e6)
    return (
        pool.database,
        pool.user,
        len(pool.clients),
        len(pool.waiting),
        0,  # cancel requests never wait in a pool: each has a task of its own
        0,
        len(pool.active),
        0,
        len(pool.canceled),
        len(pool.idle),
        0,
        len(pool.tested) + len(pool.draining),
        len(pool.tasks),
        maxwait_us // 1_000_000,
        maxwait_us % 1_000_000,
        pool.settings.pool_mode.value,
        _balance(database, pool.settings.load_balance_hosts),
    )


def _balance(database: DatabaseSettings | None, setting: str) -> str | None:
    """Only where there is more than one host to choose from."""
    return setting if database is not None and len(database.hosts) > 1 else None


@show("DATABASES", columns.DATABASES)
def show_databases(instance: Instance) -> Iterator[Row]:
    for name in database_names(instance):
        database = instance.config.database(name)
        if database is not None:
            yield _database_row(instance, name, database)
    yield _console_row(instance)


def database_names(instance: Instance) -> list[str]:
    """Those of the configuration, and those that clients have found through the wildcard."""
    names = {pool.database for pool in instance.pools} | set(instance.config.databases)
    return sorted(names - {WILDCARD})


def _database_row(instance: Instance, name: str, database: DatabaseSettings) -> Row:
    settings = instance.config.pool_settings(name, database.user or "")
    return (
        name,
        *_where(instance, name, database),
        database.dbname or name,
        database.user,
        settings.pool_size,
        settings.min_pool_size,
        settings.reserve_pool_size,
        int(settings.server_lifetime),
        database.pool_mode.value if database.pool_mode is not None else None,
        _balance(database, settings.load_balance_hosts),
        settings.max_db_connections,
        sum(pool.servers for pool in instance.pools.of_database(name)),
        settings.max_db_client_connections,
        instance.clients.databases[name],
        int(bool({name, ""} & instance.pools.paused)),
        int(database.disabled or name in instance.pools.disabled),
    )


def _where(instance: Instance, name: str, database: DatabaseSettings) -> tuple[str | None, int]:
    """Host and port of its primary, as it is known now."""
    watch = instance.pools.watch_of(name)
    if watch is not None and watch.standing.at:
        primary = watch.addresses[watch.standing.at[0]]
        return primary.host, primary.port
    return ",".join(database.hosts) or None, database.ports[0] if database.ports else database.port


def _console_row(instance: Instance) -> Row:
    port = instance.listener.port if instance.listener is not None else instance.config.settings.listen_port
    clients = len(instance.clients.consoles)
    lifetime = int(instance.config.settings.server_lifetime)
    return CONSOLE, None, port, CONSOLE, CONSOLE, 2, 0, 0, lifetime, "statement", None, 0, 0, 0, clients, 0, 0


@show("USERS", columns.USERS)
def show_users(instance: Instance) -> Iterator[Row]:
    for name in user_names(instance):
        yield _user_row(instance, name)


def user_names(instance: Instance) -> list[str]:
    """Those that are configured, and those that are connected or have a pool."""
    config = instance.config
    return sorted({*config.users, *config.secrets, *instance.clients.users, *(pool.user for pool in instance.pools)})


def _user_row(instance: Instance, name: str) -> Row:
    user = instance.config.user(name)
    return (
        name,
        _size(user.pool_size),
        _size(user.reserve_pool_size),
        user.pool_mode.value if user.pool_mode is not None else None,
        _limit(instance.config, user.max_user_connections, "max_user_connections"),
        sum(pool.servers for pool in instance.pools if pool.user == name),
        _limit(instance.config, user.max_user_client_connections, "max_user_client_connections"),
        instance.clients.users[name],
    )


def _size(size: int | None) -> str:
    return "" if size is None else str(size)


def _limit(config: Config, own: int | None, name: str) -> int:
    return int(getattr(config.settings, name)) if own is None else own


def _listed(instance: Instance) -> dict[str, Any]:
    pools = list(instance.pools)
    return {
        "databases": database_names(instance),
        "users": user_names(instance),
        "pools": [(pool.database, pool.user) for pool in pools],
        "peers": list(instance.config.peers),
        "peer_pools": list(instance.clients.cancels.peering.pools),
        "used_clients": len(instance.clients),
        "login_clients": len(instance.clients.logging_in),
        "used_servers": sum(pool.servers for pool in pools),
    }


@show_sum("LISTS", columns.LISTS, _listed)
def show_lists(all_listed: list[dict[str, Any]]) -> Iterator[Row]:
    """Objects are not kept for reuse and names are resolved by the system: those rows are there, and 0."""

    def different(name: str) -> int:
        return len({tuple(one) if isinstance(one, list) else one for listed in all_listed for one in listed[name]})

    def all_of(name: str) -> int:
        return sum(listed[name] for listed in all_listed)

    yield "databases", different("databases") + 1
    yield "users", different("users")
    yield "peers", different("peers")
    yield "pools", different("pools") + 1
    yield "peer_pools", different("peer_pools")
    yield "free_clients", 0
    yield "used_clients", all_of("used_clients")
    yield "login_clients", all_of("login_clients")
    yield "free_servers", 0
    yield "used_servers", all_of("used_servers")
    yield from ((name, 0) for name in ("dns_names", "dns_zones", "dns_queries", "dns_pending"))
