"""What must hold between settings, each rule one small function in a table; each reports all it finds.

Some of what would be an error elsewhere is a warning where the file is PgBouncer's.

A rule is left out where a setting that it reads was itself refused: it would judge a default that nobody wrote.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

from trunkline.config.choices import PoolMode
from trunkline.config.diagnostics import Report, did_you_mean
from trunkline.config.global_settings import Settings
from trunkline.config.settings import RESERVED_DATABASES, Config, DatabaseSettings

_VERIFYING = ("verify-ca", "verify-full")
_TLS_FILES = ("key_file", "cert_file", "ca_file")


def check(config: Config, report: Report) -> None:
    """Report every rule that the configuration breaks."""
    for rule, names in _RULES:
        if any(report.is_refused(name) for name in names):
            continue
        if config.from_ini and rule in _PGBOUNCER_STARTS_WITH:
            found = Report(report.name, *report.sources)
            rule(config, found)
            report.warnings += found.diagnostics
        else:
            rule(config, report)


def is_loopback(listen_addr: str) -> bool:
    """True when none of the addresses can be reached from another machine."""
    return all(_is_loopback(item.strip()) for item in listen_addr.split(",") if item.strip())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _something_is_served(config: Config, report: Report) -> None:
    if not config.databases:
        hint = 'add [databases.NAME] with primary = "postgres://host/dbname"; "*" as NAME serves any name'
        report.add((), "no database is configured", "" if config.from_ini else hint)


def _something_is_listened_on(config: Config, report: Report) -> None:
    settings = config.settings
    if not settings.listen_addr.strip() and not settings.unix_socket_dir:
        report.add(("listen_addr",), "nothing to listen on", "set listen_addr or unix_socket_dir")


def _databases_have_a_server(config: Config, report: Report) -> None:
    for database in config.databases.values():
        refused = any(report.is_refused(database.name, key) for key in ("primary", "host", "shards"))
        if not database.hosts and not refused:
            hint = 'add primary = "postgres://host:5432/dbname" or host = "..."'
            report.add(("databases", database.name), f"database `{database.name}` has no server", hint, part="key")
        if database.password is not None and database.user is None and not refused:
            hint = "a password needs its user; passwords of clients' own users belong in auth_file"
            report.add(("databases", database.name, "password"), "a password without a user", hint, part="key")


def _shards_are_pooled(config: Config, report: Report) -> None:
    """A client in session pooling has one server, and with it one shard."""
    for database in config.databases.values():
        if (
            database.shards
            and not database.shard_by
            and config.pool_settings(database.name, "").pool_mode is PoolMode.SESSION
        ):
            key = (
                ("databases", database.name)
                if database.pool_mode is None
                else ("databases", database.name, "pool_mode")
            )
            hint = 'set pool_mode = "transaction" for this database'
            report.add(key, f"database `{database.name}` has shards, and pool_mode is session", hint, part="key")


def _minimum_fits_pool(config: Config, report: Report) -> None:
    settings = config.settings
    if 0 < settings.default_pool_size < settings.min_pool_size:
        report.add(("min_pool_size",), f"above default_pool_size, which is {settings.default_pool_size}")
    for database in config.databases.values():
        _minimum_fits_database(config, database, report)


def _minimum_fits_database(config: Config, database: DatabaseSettings, report: Report) -> None:
    if database.pool_size is None and database.min_pool_size is None:
        return
    pool = config.pool_settings(database.name, "")
    if 0 < pool.pool_size < pool.min_pool_size:
        key = "pool_size" if database.min_pool_size is None else "min_pool_size"
        message = f"min_pool_size {pool.min_pool_size} is above pool_size {pool.pool_size}"
        report.add(("databases", database.name, key), message)


def _logins_can_succeed(config: Config, report: Report) -> None:
    settings = config.settings
    asks = settings.auth_user or any(database.auth_user for database in config.databases.values())
    known = config.secrets or settings.auth_file or asks
    if settings.auth_type in ("plain", "md5", "scram-sha-256") and not known:
        hint = 'add auth_file = "userlist.txt", or password in [users.NAME], or auth_user = "..."'
        report.add(("auth_type",), f"auth_type {settings.auth_type} needs passwords, and there are none", hint)
    if settings.auth_type == "hba" and not settings.auth_hba_file:
        report.add(("auth_type",), "auth_type hba needs rules", 'add auth_hba_file = "pg_hba.conf"')
    if settings.auth_type == "hba" and config.hba.names_roles and not asks:
        report.add(("auth_hba_file",), "its members of roles are known to servers", "add auth_user, who looks them up")
    needs_certificates = settings.auth_type == "hba" and any(rule.method == "cert" for rule in config.hba.rules)
    if needs_certificates and not (settings.client_tls_ca_file and settings.client_tls_sslmode != "disable"):
        hint = "set client_tls_sslmode and client_tls_ca_file"
        report.add(("auth_hba_file",), "its method cert needs client certificates", hint)
    if settings.auth_type == "cert" and settings.client_tls_sslmode not in _VERIFYING:
        report.add(("auth_type",), "auth_type cert needs client certificates", 'set client_tls_sslmode = "verify-full"')


def _users_can_be_asked_for(config: Config, report: Report) -> None:
    """auth_query has its parameter, and auth_dbname is a database of ours."""
    tables: list[tuple[tuple[str, ...], Settings | DatabaseSettings]] = [((), config.settings)]
    tables += [(("databases", database.name), database) for database in config.databases.values()]
    for path, table in tables:
        if table.auth_query is not None and "$1" not in table.auth_query:
            report.add((*path, "auth_query"), "`auth_query` does not ask for a user", "its name is $1")
        if table.auth_dbname in RESERVED_DATABASES:
            report.add((*path, "auth_dbname"), f"`{table.auth_dbname}` is the console, which knows no users")
        elif table.auth_dbname and config.database(table.auth_dbname) is None:
            hint = did_you_mean(table.auth_dbname, config.databases)
            report.add((*path, "auth_dbname"), f"`{table.auth_dbname}` is no database of this configuration", hint)


def _any_has_forced_users(config: Config, report: Report) -> None:
    if config.settings.auth_type != "any":
        return
    for database in config.databases.values():
        if any(server.user is None for server in database.shards or (database,)):
            message = f"auth_type any needs a user for database `{database.name}`"
            report.add(("databases", database.name), message, 'add user = "..."', part="key")


def _tls_is_complete(config: Config, report: Report) -> None:
    settings = config.settings
    if settings.client_tls_sslmode != "disable":
        for name in ("client_tls_key_file", "client_tls_cert_file"):
            if not getattr(settings, name):
                report.add(("client_tls_sslmode",), f"client_tls_sslmode {settings.client_tls_sslmode} needs {name}")
    for side in ("client", "server"):
        mode = getattr(settings, f"{side}_tls_sslmode")
        if mode in _VERIFYING and not getattr(settings, f"{side}_tls_ca_file"):
            report.add((f"{side}_tls_sslmode",), f"{side}_tls_sslmode {mode} needs {side}_tls_ca_file")
    if bool(settings.server_tls_key_file) != bool(settings.server_tls_cert_file):
        given, missing = ("key", "cert") if settings.server_tls_key_file else ("cert", "key")
        report.add((f"server_tls_{given}_file",), f"needs server_tls_{missing}_file too")


def _tls_files_exist(config: Config, report: Report) -> None:
    for side in ("client", "server"):
        for file in _TLS_FILES:
            path = getattr(config.settings, f"{side}_tls_{file}")
            if path and not _is_file(path):
                report.add((f"{side}_tls_{file}",), f"{path} is not a file that can be read")


def _is_file(path: str) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except (OSError, ValueError):
        return False


_TLS_SETTINGS = tuple(f"{side}_tls_{rest}" for side in ("client", "server") for rest in ("sslmode", *_TLS_FILES))
_RULES: tuple[tuple[Callable[[Config, Report], None], tuple[str, ...]], ...] = (
    (_something_is_served, ("databases",)),
    (_something_is_listened_on, ("listen_addr", "unix_socket_dir")),
    (_databases_have_a_server, ("user",)),
    (_shards_are_pooled, ("pool_mode", "shards")),
    (_minimum_fits_pool, ("min_pool_size", "pool_size", "default_pool_size")),
    (_logins_can_succeed, ("auth_type", "auth_file", "password", "users", "client_tls_sslmode")),
    (_users_can_be_asked_for, ("databases",)),
    (_any_has_forced_users, ("auth_type", "user", "primary")),
    (_tls_is_complete, _TLS_SETTINGS),
    (_tls_files_exist, ()),
)
_PGBOUNCER_STARTS_WITH = (_something_is_served, _minimum_fits_pool, _logins_can_succeed, _any_has_forced_users)
"""What PgBouncer's operators may have left so: told, and no reason not to start."""
