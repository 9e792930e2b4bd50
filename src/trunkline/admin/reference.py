"""The reference page of the console, made from the table of commands.

Run as ``python -m trunkline.admin.reference > docs/console.md``; the page in the tree must be the current one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import trunkline.admin.console  # noqa: F401 - fills the table of commands
from trunkline.admin.catalog import shown_relations
from trunkline.admin.commands import COMMANDS, Command
from trunkline.admin.types import NAMES

_INTRODUCTION = """# The console

Made by `python -m trunkline.admin.reference` from the table of commands; do not edit.

The console is the database `trunkline`, or `pgbouncer`, on the same port as all others: `psql -p 6432 trunkline`. It
speaks the simple and the extended protocol, with prepared statements, parameters and several statements in one query,
so every driver and tool can use it as it uses PostgreSQL. BEGIN, COMMIT, resets and what drivers SET on their own are
answered, and have no effect.

`admin_users` may do everything. `stats_users` may SHOW and SELECT; by default that is everybody who can log in (`*`),
with a `pgbouncer.ini` nobody else. The user `pgbouncer` on the Unix socket is an admin without a password, if it is
the system's user that runs the process. A reload, or SET, changes the rights of those who are connected, too.

Commands, columns and words of errors are PgBouncer's. SQLSTATEs are PostgreSQL's where PgBouncer has 08P01 for
everything, which makes drivers throw their connection away: 42601 for no such command, 42501 without the right, 3D000
for no such database, 55000 where the state does not allow it, 22023 and 55P02 for SET.
"""

DOES: Mapping[str, str] = {
    "RELOAD": "Reads the configuration again, all or nothing; what SET has changed is as the file says again.",
    "PAUSE": "No server is given out any more. Answers when all servers of the database, or all, are closed.",
    "SUSPEND": "Nothing is read from anybody. Answers when all that was on its way is sent, or `suspend_timeout` is "
    "over, after which those who do not take it are closed. Undone when the last console leaves.",
    "RESUME": "Undoes PAUSE, SUSPEND and KILL.",
    "RESOLVE": "Ends a transaction in doubt (`SHOW TRANSACTIONS`) by hand, but never against its decision.",
    "SHUTDOWN": "Ends the process: at once, or when all clients have left or are between two transactions. With "
    "PgBouncer's file WAIT_FOR_CLIENTS waits until they have left by themselves.",
    "KILL": "Ends all clients (57P01) and servers at once; clients that come then wait until RESUME.",
    "KILL_CLIENT": "Ends one client (57P01), by its id in SHOW CLIENTS.",
    "DISABLE": "New clients are refused (55000); those who are in go on.",
    "ENABLE": "Undoes DISABLE.",
    "RECONNECT": "Every server of now is closed as soon as it is free, and new ones are opened.",
    "WAIT_CLOSE": "Answers when no server is left that RECONNECT, or a reload, wants to be closed.",
    "SWITCH DATABASE": "The database goes on at another server: [replicas.md](replicas.md).",
    "SET": "Changes a setting until the next RELOAD; those that are read at start only are refused.",
}

_SELECT = """
## SELECT

Each of these is a relation, too: `SELECT database, cl_waiting FROM pools WHERE cl_waiting > 0 ORDER BY 2 DESC LIMIT 5`.

- WHERE with `= <> < <= > >=`, LIKE, ILIKE, IN, BETWEEN, IS NULL, AND, OR, NOT, and parameters (`$1`)
- `+ - * / || ~`, CASE, coalesce, nullif, casts, arrays (`= ANY ($1)`), lower, upper, length, now() and their like
- count, sum, min, max, avg, string_agg and array_agg, with GROUP BY (of columns) and HAVING; row_number()
- JOIN, LEFT JOIN, CROSS JOIN and commas, ON and USING; subqueries, in FROM and in expressions
- DISTINCT, ORDER BY (columns, positions, names of the output, NULLS FIRST and LAST), LIMIT and OFFSET

NULL, types and errors are as in PostgreSQL, except that `user` is the column of that name where there is one.
Everything else (UNION, WITH, FULL JOIN, LATERAL, other functions) is refused with 0A000 or 42883, by name.
A join looks at every pair of rows that the conditions before it leave, and a statement at no more than 300,000 rows
(54000).

The relations are tables of a schema `public`, owned by `pgbouncer`, in a catalog as PostgreSQL has it (`pg_class`,
`pg_attribute`, `pg_type`, `information_schema.columns`, ...), so that psql (`\\d`, `\\dt`), JDBC (as DBeaver uses it),
Npgsql and Grafana list them and their columns. What the console has none of, as indexes, constraints and
views, is a relation without rows there.

## What is shown
"""


def _actions() -> list[Command]:
    listed = (command for command in COMMANDS.values() if command.listed and command.words[0] != "SHOW")
    return sorted(listed, key=lambda command: command.usage)


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Commands\n\nAll are for `admin_users`.\n\n| command | what it does |\n|---|---|"
    for command in _actions():
        yield f"| `{command.usage.replace('|', ' or ')}` | {DOES[' '.join(command.words)]} |"
    yield _SELECT
    yield "`SHOW HELP` lists all commands, as a notice.\n\n| command | columns |\n|---|---|"
    for command in sorted(shown_relations(), key=lambda command: command.words):
        rights = " (`admin_users`)" if command.admin else ""
        columns = ", ".join(f"{name} {NAMES[oid]}" for name, oid in command.columns or ())
        yield f"| `{command.usage}`{rights} | {columns} |"


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


if __name__ == "__main__":
    print(page(), end="")
