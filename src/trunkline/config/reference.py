"""The reference page of all settings, made from the tables.

Run as ``python -m trunkline.config.reference > docs/settings.md``; the page in the tree must be the current one.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config.global_settings import Settings
from trunkline.config.settings import DatabaseSettings, PeerSettings, UserSettings
from trunkline.config.sharding import FunctionSettings, ShardSettings, TableSettings
from trunkline.config.table import Spec, defaults, specs

_INTRODUCTION = """# Settings

Made by `python -m trunkline.config.reference` from the tables in `trunkline.config`; do not edit.

Names are PgBouncer's wherever PgBouncer has the setting. Durations are seconds, or strings as in `"200ms"`, `"5s"`,
`"1min"`, `"2h"`; sizes are bytes, or strings as in `"64kB"`, `"1MB"`. Lists are arrays of strings, or one string with
commas. Paths are relative to the file they stand in. `TRUNKLINE_<NAME>` in the environment overrides a global setting.
"""
_SECTIONS: tuple[tuple[type, str, str], ...] = (
    (Settings, "Global", "At the top of the file."),
    (
        DatabaseSettings,
        "Databases",
        'In `[databases.NAME]`, where `"*"` serves every name that has no section of its own. `primary = '
        '"postgres://user:password@host:port/dbname"` stands for host, port, dbname, user and password. A user forces '
        "that user on the server for all clients. A database has either a server or shards.",
    ),
    (
        ShardSettings,
        "Shards",
        "In `[[databases.NAME.shards]]`, one for each shard. To its clients the database is one PostgreSQL. With "
        '`shard_by = "database"` NAME is a pattern that ends with `*`, and each database whose name it fits is wholly '
        'on one shard: the one that `[databases.NAME.names]` lists it with, as in `acme = "s1"`, else that of its '
        "bucket (md5 of the name).",
    ),
    (
        TableSettings,
        "Tables of a sharded database",
        'In `[databases.NAME.tables]`, as in `orders = { shard_by = "customer_id", colocated_with = "customers" }`; '
        'of another schema than public, `"sales.orders"`. What is not named is on the home shard. '
        '`[databases.NAME.schemas]` puts all tables of a schema on one shard, as in `tenant_a = "s1"`.',
    ),
    (
        FunctionSettings,
        "Functions of a sharded database",
        'In `[databases.NAME.functions]`, as in `order_total = { key_arg = 1, table = "orders" }`: the function reads '
        "and writes rows of sharded tables only with the key that is this argument.",
    ),
    (
        UserSettings,
        "Users",
        "In `[users.NAME]`. A user's value wins over the database's, and that over the global one.",
    ),
    (
        PeerSettings,
        "Peers",
        "In `[peers.NUMBER]`, one for each other program behind the same load balancer, by its `peer_id`. A cancel "
        "request that comes here and is for a client of a peer is passed on to it.",
    ),
)


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(line for section in _SECTIONS for line in _section(*section))])


def _section(table: type, title: str, text: str) -> Iterator[str]:
    yield from (f"## {title}", "", text, "")
    yield "| setting | default | unit | values | applied by | meaning |"
    yield "|---|---|---|---|---|---|"
    values = defaults(table)
    for key, (field, spec) in specs(table).items():
        yield _row(key, spec.show(values[field]), spec)
    yield ""


def _row(key: str, default: str, spec: Spec) -> str:
    choices = ", ".join(spec.limits.choices)
    applied = "reload" if spec.reloadable else "restart"
    shown = f"`{default}`" if default else ""
    return f"| `{key}` | {shown} | {spec.unit} | {choices} | {applied} | {spec.doc} |"


if __name__ == "__main__":
    print(page(), end="")
