"""The reference page of all settings, made from the tables.

Run as ``python -m trunkline.config.reference > docs/settings.md``; the page in the tree must be the current one.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config.settings import DatabaseSettings, Settings, UserSettings
from trunkline.config.table import Spec, defaults, specs

_INTRODUCTION = """# Settings

Made by `python -m trunkline.config.reference` from the tables in `trunkline.config.settings`; do not edit.

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
        "that user on the server for all clients.",
    ),
    (
        UserSettings,
        "Users",
        "In `[users.NAME]`. A user's value wins over the database's, and that over the global one.",
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
