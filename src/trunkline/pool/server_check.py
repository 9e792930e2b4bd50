"""Looks at every server of a configuration before anything is served: what `check --online` says of no schema.

Whether it can be reached, is new enough, has room for all pools that may open connections to it, encrypts what leaves
this machine, stores passwords that ours can prove, and takes the transactions that several shards need.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from trunkline.auth.secret import Secret, SecretKind
from trunkline.config.address import ServerAddress
from trunkline.config.settings import WILDCARD, Config, DatabaseSettings
from trunkline.pool.online_check import OLDEST, Finding
from trunkline.pool.online_login import FAILURES, log_in

_FACTS = """
SELECT current_setting('server_version_num')::int AS version,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS room,
       current_setting('max_prepared_transactions')::int AS prepared,
       coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted
"""
_PASSWORDS = "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolpassword IS NOT NULL AND rolcanlogin"


@dataclass(frozen=True, slots=True)
class Facts:
    """What one server says of itself; passwords are None where they may not be read."""

    version: int
    room: int
    prepared: int
    encrypted: bool
    passwords: Mapping[str, str] | None


Part = tuple[DatabaseSettings, ServerAddress]


def parts_of(config: Config) -> Iterator[Part]:
    """Every database, or each of its shards, at each of its servers."""
    for database in config.databases.values():
        for part in database.shards or (database,):
            yield from ((part, address) for address in part.servers)


async def look_at_servers(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """What is to be said of all servers, in their order; of each once, whatever many databases it has."""
    by_server: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for part in parts_of(config):
        by_server[part[1].host, part[1].port].append(part)
    results = await asyncio.gather(*(_ask(config, environ, parts) for parts in by_server.values()))
    return [
        finding
        for (host, port), parts, result in zip(by_server, by_server.values(), results, strict=True)
        for finding in _judge(config, f"{host}:{port}", parts, result)
    ]


async def _ask(config: Config, environ: Mapping[str, str], parts: Sequence[Part]) -> Facts | str:
    """The facts, or why there are none."""
    server, address = parts[0]
    try:
        connection = await log_in(config, environ, server, [address])
    except FAILURES as error:
        return str(error) or "timed out"
    try:
        row = await connection.fetchrow(_FACTS)
        return Facts(row["version"], row["room"], row["prepared"], row["encrypted"], await _passwords(connection))
    except FAILURES as error:
        return str(error) or "timed out"
    finally:
        await connection.close()


async def _passwords(connection: asyncpg.Connection) -> Mapping[str, str] | None:
    try:
        return {row["rolname"]: row["rolpassword"] for row in await connection.fetch(_PASSWORDS)}
    except asyncpg.InsufficientPrivilegeError:
        return None


def _judge(config: Config, where: str, parts: Sequence[Part], facts: Facts | str) -> Iterator[Finding]:
    if isinstance(facts, str):
        yield Finding(where, f"cannot be asked: {facts}")
        return
    if facts.version // 10000 < OLDEST:
        yield Finding(where, f"PostgreSQL {facts.version // 10000} is too old, the oldest is {OLDEST}")
    yield from _room(config, where, parts, facts)
    if not facts.encrypted and not _is_near(parts[0][1]):
        yield Finding(where, "the connection is not encrypted: server_tls_sslmode can demand it", is_error=False)
    yield from _secrets(config, where, facts)
    yield from _prepared(config, where, parts, facts)


def _room(config: Config, where: str, parts: Sequence[Part], facts: Facts) -> Iterator[Finding]:
    sizes = [_most(config, part) for part in {part.name: part for part, _ in parts}.values()]
    if None in sizes:
        yield Finding(where, "a pool_size of 0 without max_db_connections has no end", is_error=False)
        return
    most = sum(size for size in sizes if size is not None)
    if most > facts.room:
        said = f"the pools may open {most} connections, and max_connections leaves {facts.room}"
        yield Finding(where, f"{said}: max_db_connections can bound them", is_error=False)


def _most(config: Config, part: DatabaseSettings) -> int | None:
    """Connections that the pools of one database, or shard, may have at once; None is no limit."""
    users = {part.user} if part.user else (set(config.users) | set(config.secrets)) - {WILDCARD} or {""}
    effective = [config.pool_settings(part.name, user) for user in users]
    bound = effective[0].max_db_connections
    if any(not settings.pool_size for settings in effective):
        return bound or None
    most = sum(settings.pool_size + settings.reserve_pool_size for settings in effective)
    return min(most, bound) if bound else most


def _is_near(address: ServerAddress) -> bool:
    """On this machine: a socket, or loopback."""
    if address.host.startswith(("/", "@")) or address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False


def _secrets(config: Config, where: str, facts: Facts) -> Iterator[Finding]:
    """Hashes of ours log in only where the server has the same: md5 where it has md5, and SCRAM to the letter."""
    for user, text in sorted(config.secrets.items()):
        ours = Secret.parse(text)
        stored = (facts.passwords or {}).get(user)
        if ours.kind is SecretKind.PLAIN or stored is None or stored == ours.text:
            continue
        theirs = Secret.parse(stored).kind
        what = "another one" if theirs is ours.kind else f"one of kind {theirs.value}"
        yield Finding(where, f"user {user} has a secret of kind {ours.kind.value} here, and {what} there: no login")


def _prepared(config: Config, where: str, parts: Sequence[Part], facts: Facts) -> Iterator[Finding]:
    shards = {shard.name: database for database in config.databases.values() for shard in database.shards}
    two_phase = [part for part, _ in parts if part.name in shards and shards[part.name].transaction_mode == "two_phase"]
    if two_phase and not facts.prepared:
        yield Finding(where, "max_prepared_transactions is 0: no transaction over several shards can commit")
