"""A login to a server before anything is served: as whom, with which password, and over TLS or not."""

from __future__ import annotations

import getpass
import ssl
from collections.abc import Mapping, Sequence

import asyncpg

from trunkline.auth.secret import Secret, SecretKind
from trunkline.config.address import ServerAddress
from trunkline.config.settings import Config, DatabaseSettings
from trunkline.net.contexts import server_tls

FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_ENCRYPTED_IF_OFFERED = ("allow", "prefer")


async def log_in(
    config: Config, environ: Mapping[str, str], server: DatabaseSettings, addresses: Sequence[ServerAddress]
) -> asyncpg.Connection:
    """A connection to the first address that answers; one of FAILURES."""
    user = server.user or environ.get("PGUSER") or getpass.getuser()
    return await asyncpg.connect(
        host=[address.host for address in addresses],
        port=[address.port for address in addresses],
        database=server.dbname,
        user=user,
        password=_password(config, environ, server, user),
        ssl=_tls(config),
        timeout=config.settings.server_connect_timeout or None,
    )


def _tls(config: Config) -> ssl.SSLContext | str:
    mode = config.settings.server_tls_sslmode
    context = server_tls(config.settings)
    return mode if context is None or mode in _ENCRYPTED_IF_OFFERED else context


def _password(config: Config, environ: Mapping[str, str], server: DatabaseSettings, user: str) -> str | None:
    """The user's password, where it is known as such: a hash of it logs nobody in here."""
    if server.password is not None:
        return server.password
    stored = config.user(user).password or config.secrets.get(user)
    if stored is not None and Secret.parse(stored).kind is SecretKind.PLAIN:
        return stored
    return environ.get("PGPASSWORD")
