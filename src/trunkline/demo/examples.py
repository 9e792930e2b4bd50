"""The lines that the demo prints to be pasted into a shell, and what each of them answers."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.demo.databases import ACCOUNTS_OF_BRANCH, APP, BENCH, BRANCHES, SHOP, TENANTS

TIMEOUT_S = 30.0
SELECT_FILE, TPCB_FILE = "select.sql", "tpcb.sql"

# One connection prepares once, and reads tenants of both shards.
ASYNCPG = (
    'import asyncio, asyncpg; run = asyncio.Runner().run; c = run(asyncpg.connect("{url}")); '
    's = run(c.prepare("SELECT name FROM tenants WHERE id = $1")); '
    'print(*[run(s.fetchval(n)) for n in (3, 1, 4, 2)], sep=", "); run(c.close())'
)


@dataclass(frozen=True)
class Example:
    """What a line shows, the database it asks, its words, and a piece of the answer and the exit code that are due.

    In the words, ``{url}`` stands for the database's address and ``{directory}`` for that of the demo's files; the
    first is the name of a program, which is replaced by where it is.
    """

    purpose: str
    database: str
    words: tuple[str, ...]
    expected: str
    code: int = 0

    def command(self, programs: Mapping[str, str], url: str, directory: str) -> str:
        arguments = (word.replace("{url}", url).replace("{directory}", directory) for word in self.words[1:])
        return shlex.join([programs[self.words[0]], *arguments])

    def is_answered_by(self, code: int, answer: str) -> bool:
        return code == self.code and self.expected in answer


def psql(sql: str, *options: str) -> tuple[str, ...]:
    return ("psql", "{url}", *options, "-c", sql)


def _pgbench(file: str, mode: str) -> tuple[str, ...]:
    return ("pgbench", "-n", "-M", mode, "-c", "4", "-t", "250", "-f", "{directory}/" + file, "{url}")


def _transfer(amount: int, account: int) -> str:
    return f"UPDATE pgbench_accounts SET abalance = abalance + {amount} WHERE aid = {account}"


def _explained(amount: int, account: int) -> str:
    return f"EXPLAIN (ROUTE) {_transfer(amount, account)}"


TENANT = 7
LAST_ACCOUNT = BRANCHES * ACCOUNTS_OF_BRANCH
JOIN = "SELECT t.name, email FROM tenants t JOIN signups ON email = 'owner' || t.id || '@example.com' ORDER BY t.id"

EXAMPLES = (
    Example("a plain database", APP, psql("SELECT count(*) FROM pgbench_accounts"), str(ACCOUNTS_OF_BRANCH)),
    Example("its replica", f"{APP}_replica", psql("SELECT pg_is_in_recovery() AS reads_a_replica"), " t\n"),
    Example(
        "two shards: all of SQL within one of them",
        SHOP,
        psql(
            "SELECT co.name AS country, sum(quantity * price) AS sold FROM items "
            "JOIN orders o ON (o.tenant_id, o.id) = (items.tenant_id, order_id) "
            "JOIN customers c ON (c.tenant_id, c.id) = (o.tenant_id, customer_id) "
            f"JOIN countries co ON co.code = country WHERE items.tenant_id = {TENANT} GROUP BY 1 ORDER BY 2 DESC"
        ),
        "Germany",
    ),
    Example(
        "a write goes where its row belongs",
        SHOP,
        psql(f"INSERT INTO orders (tenant_id, customer_id) VALUES ({TENANT}, 1) RETURNING tenant_id, id"),
        "INSERT 0 1",
    ),
    Example(
        "where a statement goes, and why",
        SHOP,
        psql(f"EXPLAIN (ROUTE) SELECT * FROM orders WHERE tenant_id = {TENANT}"),
        "Route: single shard",
    ),
    Example("an answer from both shards", SHOP, psql("SELECT count(*), max(name) FROM tenants"), f" {TENANTS} |"),
    Example("a join over both shards with a table that only one has", SHOP, psql(JOIN), "owner5@example.com"),
    Example("how that is done", SHOP, psql(f"EXPLAIN (ROUTE) {JOIN}"), "Route: several shards"),
    Example(
        "a transfer between the shards, committed in two phases",
        BENCH,
        ("psql", "{url}", "-c", "BEGIN", "-c", _transfer(-100, 1), "-c", _transfer(100, LAST_ACCOUNT), "-c", "COMMIT"),
        "COMMIT",
    ),
    Example(
        "where its halves go",
        BENCH,
        ("psql", "{url}", "-c", _explained(-100, 1), "-c", _explained(100, LAST_ACCOUNT)),
        "Shards: s1",
    ),
    Example(
        "what would not be exact is refused",
        SHOP,
        psql("SELECT ctid FROM orders", "-v", "VERBOSITY=verbose"),
        "0A000",
        code=1,
    ),
    Example("prepared once, read on both shards", SHOP, ("python", "-c", ASYNCPG), "Shop 3, Shop 1, Shop 4, Shop 2"),
    Example("pgbench's SELECT on two shards", BENCH, _pgbench(SELECT_FILE, "simple"), "processed: 1000/1000"),
    Example("the same, prepared", BENCH, _pgbench(SELECT_FILE, "prepared"), "processed: 1000/1000"),
    Example("its transaction within a branch", BENCH, _pgbench(TPCB_FILE, "prepared"), "processed: 1000/1000"),
    Example("the console", "trunkline", psql("SHOW SHARDS"), BENCH),
)


async def run_line(command: str) -> tuple[int, str]:
    """A printed line, as a shell would run it; the exit code, and both outputs."""
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PSQLRC": os.devnull, "PAGER": "cat"},  # a user's own settings may change the output's form
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")
